"""The commands `train` and `train report`: from parsed arguments to an exit code."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from train import job
from train.config_file import load_config
from train.data.corpus import default_cache
from train.errors import TrainError
from train.report.page import write_report
from train.report.sampling import SamplingOptions
from train.report.tensorboard import TensorBoardLog
from train.runtime.distributed import is_main_process, process_group
from train.runtime.hardware import set_threads, uses_gpu
from train.runtime.lock import locked_file
from train.runtime.paths import check_run
from train.runtime.progress import print_line
from train.runtime.thread_waiting import SpinControl

Command = Callable[[argparse.Namespace], str]


def run(command: Command, options: argparse.Namespace) -> int:
    """Print the text that the command returns, or one line with its error. Return an exit code.

    Only the main process prints.
    """
    try:
        result = command(options)
    except TrainError as error:  # every process raises the same error
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or options.out}")
    except KeyboardInterrupt:
        advice = "; the same command resumes from the last checkpoint" if command is train else ""
        if is_main_process():
            print(f"stopped{advice}", file=sys.stderr)
        return 130
    if is_main_process():
        print_line(result)
    return 0


def train(options: argparse.Namespace) -> str:
    """Train as the options require, and return the summary. Raises TrainError, OSError."""
    config = load_config(options.config, options.set)
    teacher = None if config.loss.teacher is None else Path(config.loss.teacher.checkpoint)
    log_folder = options.tensorboard and options.tensorboard / options.out.resolve().name
    check_run(options.config, options.data, options.out, teacher, log_folder)
    set_threads(config.train)
    with ExitStack() as stack:
        stack.enter_context(SpinControl())
        processes = stack.enter_context(process_group(uses_gpu(config.train)))
        log = None
        if log_folder and processes.is_main:
            # A lock of another name than the checkpoint's, because the folder may be OUT itself.
            stack.enter_context(locked_file(log_folder / "tensorboard"))
            log = stack.enter_context(TensorBoardLog(log_folder))
        cache = options.cache or default_cache()
        return job.summary(job.train(config, options.data, options.out, cache, processes, log))


def report(options: argparse.Namespace) -> str:
    """Write the page of a report, and return its path. Raises TrainError, OSError."""
    sampling = SamplingOptions(tuple(options.prompt), options.temperature, options.seed)
    warning = write_report(options.checkpoints, options.out, sampling, options.overwrite)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    return str(options.out)


def _fail(message: str) -> int:
    if is_main_process():
        print(f"error: {message}", file=sys.stderr)
    return 1
