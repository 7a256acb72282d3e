"""Checks and commands that raise Failure."""

import subprocess


class Failure(Exception):
    """A check that failed, or a command that did."""


def check(holds: object, claim: str) -> None:
    """Print `claim`. Raise Failure if it does not hold."""
    if not holds:
        raise Failure(claim)
    print(f"  ok: {claim}", flush=True)


def run_command(*command: str) -> str:
    """Return the output of a command. Raise Failure with its error output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command[:3])} …: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
