"""The state of a job, from which it continues after it was killed at any moment.

    score → (bucket) → publish

A commit makes the output durable first and the state after it; the new state replaces the old one
atomically. Output beyond the state is cut off when the job continues. Stage `publish` means that
the partial files are complete, so that only their names remain to be changed.

One output file is resumed by truncation and not from parts. Parts would have to be joined at the
end, which takes the space of the output twice, and a compressed input has no places at which it can
be split. Parts are used where the output is a folder.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from service.bulk.document import Position
from service.bulk.options import JobOptions
from service.bulk.resume.identity import describe_change
from service.bulk.resume.job_files import JobFiles
from service.bulk.statistics import Statistics
from service.errors import JobError
from service.files.atomic import write_atomically
from service.files.outputs import refuse_existing

VERSION = 2

Stage = Literal["score", "bucket", "publish"]


@dataclass
class JobState:
    """Progress of the job with the identity `job`.

    `output` is a length in bytes or a number of parts, `errors` a length in bytes; `digest` covers
    all documents before `position`.
    """

    job: dict[str, Any]
    stage: Stage = "score"
    position: Position = field(default_factory=Position)
    digest: str = ""
    output: int = 0
    errors: int = 0
    statistics: Statistics = field(default_factory=Statistics)

    def save(self, path: Path) -> None:
        content = {
            "version": VERSION,
            "job": self.job,
            "stage": self.stage,
            "position": _position_to_json(self.position),
            "digest": self.digest,
            "output": self.output,
            "errors": self.errors,
            "tally": self.statistics.to_json(),
        }
        write_atomically(path, json.dumps(content).encode(), path.with_name(path.name + ".new"))

    @classmethod
    def load(cls, path: Path, job: dict[str, Any]) -> Self | None:
        """Return None without a state, or for the state of another job that committed nothing.

        Raises JobError for the state of another job.
        """
        try:
            content = json.loads(path.read_bytes())
            version = content.pop("version", None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise JobError(f"{path} is not the state of a job: {error}") from None
        if version != VERSION:
            raise JobError(f"{path} is of another version; use --overwrite to start again")
        if content["job"] != job:
            if _is_untouched(content):
                return None
            raise JobError(
                f"{path} is of another job: {describe_change(content['job'], job)}. Repeat the "
                "first command, or begin again with --overwrite"
            )
        position = content.pop("position")
        documents = position.pop("records")
        statistics = Statistics.from_json(content.pop("tally"))
        return cls(
            **content, position=Position(**position, documents=documents), statistics=statistics
        )


def begin_or_resume(options: JobOptions, files: JobFiles, job: dict[str, Any]) -> JobState:
    """Return the state of an earlier attempt at this job, or save and return a new one.

    Raises OutputError for an output that already exists and is not this job's, and JobError for the
    state of another job. With `--overwrite` the outputs of earlier jobs are removed.
    """
    if options.overwrite:
        files.remove_outputs()
    state = JobState.load(files.state, job) if files.keeps_state else None
    if not options.resumable:
        state = None
    if state is None or state.stage != "publish" or not files.is_published:
        for path in files.outputs:
            refuse_existing(path, overwrite=False)
    if state is None:
        files.remove_partials()
        state = JobState(job)
        if files.keeps_state:
            state.save(files.state)
    return state


def _position_to_json(position: Position) -> dict[str, int]:
    return {
        "source": position.source,
        "offset": position.offset,
        "line": position.line,
        "records": position.documents,
    }


def _is_untouched(content: dict[str, Any]) -> bool:
    """Return whether the job committed nothing. The state of `--engine ray` does not show this."""
    at_start = content["position"] == _position_to_json(Position())
    return content["stage"] == "score" and at_start and "engine" not in content["job"]
