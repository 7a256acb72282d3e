"""Tests of progress: lines in a log file, a bar on a terminal."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.tiny_training import ROOT
from tests.support.train_command import Capture, Train
from train.runtime import progress
from train.runtime.progress import LogClock, Progress, print_line


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_log_has_a_line_a_minute(clock: Clock, capsys: Capture) -> None:
    with Progress("tokenizing", 30_000_000, "B") as shown:
        for _ in range(150):  # one second each
            clock.seconds += 1
            shown.update(200_000)
    assert capsys.readouterr().err.splitlines() == [
        "tokenizing: 40% of 30.0MB, 200kB/s, 01:30 left",
        "tokenizing: 80% of 30.0MB, 200kB/s, 00:30 left",
    ]


def test_epochs_share_a_line_a_minute(clock: Clock, capsys: Capture) -> None:
    pace = LogClock()
    for epoch in range(1, 11):
        name = f"epoch {epoch}/10"
        after = (10 - epoch) * 4000
        with Progress(name, 4000, "tokens", after=after, clock=pace) as shown:
            for step in range(40):
                clock.seconds += 1
                shown.note(f"perplexity {epoch}.{step:02}")
                shown.update(100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "epoch 1/10: 100% of 4,000 tokens, 100 tokens/s, 06:00 left of the whole run at most, "
        "perplexity 1.39",
        "epoch 3/10: 50% of 4,000 tokens, 100 tokens/s, 00:20 left, "
        "05:00 left of the whole run at most, perplexity 3.19",
    ]
    assert len(lines) == 1 + 360 // 60


def test_a_rate_counts_what_this_start_did(clock: Clock, capsys: Capture) -> None:
    with Progress("epoch 2/2", 1000, "tokens", initial=700) as shown:
        clock.seconds += 100
        shown.update(100)
    assert capsys.readouterr().err == "epoch 2/2: 80% of 1,000 tokens, 1 tokens/s, 03:20 left\n"


def test_a_quiet_process_says_nothing(clock: Clock, capsys: Capture) -> None:
    with Progress("epoch 1/1", 10, "tokens", clock=LogClock(), quiet=True) as shown:
        clock.seconds += 100
        shown.update(10)
    assert capsys.readouterr().err == ""


def test_log_has_no_carriage_return(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)  # a line after each update
    assert train() == 0
    captured = capsys.readouterr()
    assert "\r" not in captured.err + captured.out
    lines = captured.err.splitlines()
    assert any("epoch 2/2: " in line and " tokens/s" in line for line in lines)
    assert any(" left of the whole run at most" in line for line in lines)


def test_short_run_logs_one_line(train: Train, capsys: Capture) -> None:
    assert train("--set", "train.epochs=5") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("epoch 1/5: 100% of 416 tokens, ")


def test_a_terminal_has_a_bar() -> None:
    program = (
        "from train.runtime.progress import Progress\n"
        "with Progress('reading', 3, 'B') as p: p.update(3)"
    )
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=child, check=True, timeout=60)
    os.close(child)
    shown = os.read(parent, 10_000).decode()
    os.close(parent)
    assert "\r" in shown
    assert "reading: 100%" in shown


def test_any_name_can_be_said_in_any_encoding(tmp_path: Path) -> None:
    program = "from train.runtime.progress import print_line; print_line('caf\\udcff …')"
    for encoding in ("utf-8", "latin-1", "ascii"):
        output = subprocess.check_output(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=60,
        )
        assert output.startswith(b"caf\\udcff ")


@pytest.mark.parametrize("arguments", [["train"], ["train", "report"], ["train.natural_text"]])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_help_is_shown_in_any_encoding(arguments: list[str], encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: python -m train")


class Flushed(io.StringIO):
    """A stream. `shown` is the text that was flushed."""

    shown = ""

    def flush(self) -> None:
        self.shown = self.getvalue()


def test_say_writes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Flushed()
    monkeypatch.setattr(sys, "stdout", stream)
    print_line("one line")
    assert stream.shown == "one line\n"
