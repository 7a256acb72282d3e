"""The two commands, `train` and `train report`: from parsed arguments to an exit code."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from train import job
from train.config_file import load_config
from train.data.corpus import default_cache
from train.errors import TrainError
from train.report.page import Sampling, write_report
from train.report.tensorboard import TensorBoardLog
from train.runtime.distributed import is_first, processes
from train.runtime.hardware import use_threads, uses_gpu
from train.runtime.lock import locked_file
from train.runtime.paths import check_run
from train.runtime.progress import say
from train.runtime.thread_waiting import Waiting

Command = Callable[[argparse.Namespace], str]


def run(command: Command, options: argparse.Namespace) -> int:
    """Print what the command returns, or one line that says why it failed; return an exit code."""
    try:
        said = command(options)
    except TrainError as error:  # of all processes alike
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or options.out}")
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last checkpoint"
        if is_first():
            print(f"stopped{goes_on if command is train else ''}", file=sys.stderr)
        return 130
    if is_first():
        say(said)
    return 0


def train(options: argparse.Namespace) -> str:
    config = load_config(options.config, options.set)
    teacher = None if config.loss.teacher is None else Path(config.loss.teacher.checkpoint)
    folder = options.tensorboard and options.tensorboard / options.out.resolve().name
    check_run(options.config, options.data, options.out, teacher, folder)
    use_threads(config.train)
    with ExitStack() as stack:
        stack.enter_context(Waiting())
        group = stack.enter_context(processes(uses_gpu(config.train)))
        log = None
        if folder and group.first:
            stack.enter_context(
                locked_file(folder / "tensorboard")
            )  # perhaps OUT, which has its own
            log = stack.enter_context(TensorBoardLog(folder))
        cache = options.cache or default_cache()
        return job.summary(job.train(config, options.data, options.out, cache, group, log))


def report(options: argparse.Namespace) -> str:
    sampling = Sampling(tuple(options.prompt), options.temperature, options.seed)
    warning = write_report(options.checkpoints, options.out, sampling, options.overwrite)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    return str(options.out)


def _fail(message: str) -> int:
    if is_first():
        print(f"error: {message}", file=sys.stderr)
    return 1
