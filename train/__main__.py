"""The command `python -m train CONFIG --data TEXT --out CHECKPOINT`.

torchrun trains one model in several processes, one per GPU or per CPU socket:
`torchrun --nproc-per-node 2 -m train CONFIG --data TEXT --out CHECKPOINT`.

`python -m train report CHECKPOINT… --out PAGE.md` compares runs; see `report --help`.
"""

import sys

from train.arguments import report_parser, train_parser
from train.runtime.packages import require_packages


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    is_report = arguments[:1] == ["report"]  # a configuration file of that name is written ./report
    if is_report:
        options = report_parser().parse_args(arguments[1:])
    else:
        options = train_parser().parse_args(arguments)
    require_packages()
    from train.commands import report, run, train  # imports torch, which --help does not need

    return run(report if is_report else train, options)


if __name__ == "__main__":
    sys.exit(main())
