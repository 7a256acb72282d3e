"""`python -m train CONFIG --data DIR --out CHECKPOINT`: text in, a checkpoint directory out.

Several GPUs, or the cores of several processors, train one model when torchrun starts a process for
each: `torchrun --nproc-per-node 2 -m train CONFIG --data DIR --out CHECKPOINT`.

`python -m train report CHECKPOINT… --out PAGE.md` compares runs; `report --help` tells how.
"""

import argparse
import sys
from contextlib import ExitStack

from train.arguments import report_parser, train_parser
from train.config_file import load_config
from train.corpus import default_cache
from train.errors import TrainError
from train.hardware import uses_gpu
from train.job import summary, train
from train.processes import is_first, processes
from train.report import Sampling, write_report
from train.tensorboard import TensorBoardLog


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["report"]:  # a configuration of that name is ./report
        command, options = _report, report_parser().parse_args(arguments[1:])
    else:
        command, options = _train, train_parser().parse_args(arguments)
    try:
        said = command(options)
    except TrainError as error:  # of all processes alike
        if is_first():
            print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last checkpoint"
        if is_first():
            print(f"stopped{goes_on if command is _train else ''}", file=sys.stderr)
        return 130
    if is_first():
        print(said)
    return 0


def _train(options: argparse.Namespace) -> str:
    config = load_config(options.config, options.set)
    with ExitStack() as stack:
        group = stack.enter_context(processes(uses_gpu(config.train)))
        log = None
        if options.tensorboard and group.first:
            folder = options.tensorboard / options.out.resolve().name
            log = stack.enter_context(TensorBoardLog(folder))
        cache = options.cache or default_cache()
        return summary(train(config, options.data, options.out, cache, group, log))


def _report(options: argparse.Namespace) -> str:
    sampling = Sampling(tuple(options.prompt), options.temperature, options.seed)
    write_report(options.checkpoints, options.out, sampling)
    return str(options.out)


if __name__ == "__main__":
    sys.exit(main())
