"""The engine: arrays in, arrays out. It owns the onnxruntime sessions, and does not depend on text,
requests or asyncio.

N packed tokens, B sequences, T steps, V vocabulary, D embedding, S state size. Every call is
thread-safe, releases the interpreter lock, and runs on the thread that calls it, so that n threads
use n cores.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.arrays import Floats, Ids, SoftTarget
from service.bundle import Bundle
from service.errors import BundleError

# A block of logits should stay in the second-level cache of the processor while it is normalised.
BLOCK_BYTES = 2 << 20
MIN_BLOCK_ROWS = 16


@dataclass(slots=True)
class Decoded:
    """The figures of N targets, as far as they were asked for. Logarithms are natural; ranks count
    from 1, ties by id.
    """

    logprobs: Floats  # (N,)
    ranks: Ids | None = None  # (N,)
    entropies: Floats | None = None  # (N,)
    top_ids: Ids | None = None  # (N, k)
    top_logprobs: Floats | None = None  # (N, k)
    soft_cross_entropies: NDArray[np.float64] | None = None  # (N,), nats

    @property
    def has_details(self) -> bool:
        """True if any figure beyond log-probabilities was asked for."""
        details = (self.ranks, self.top_ids, self.soft_cross_entropies)
        return any(column is not None for column in details)

    def __getitem__(self, rows: slice) -> "Decoded":
        """Return the figures of some of the targets."""
        return Decoded(
            self.logprobs[rows],
            None if self.ranks is None else self.ranks[rows],
            None if self.entropies is None else self.entropies[rows],
            None if self.top_ids is None else self.top_ids[rows],
            None if self.top_logprobs is None else self.top_logprobs[rows],
            None if self.soft_cross_entropies is None else self.soft_cross_entropies[rows],
        )

    @classmethod
    def concatenate(cls, chunks: "list[Decoded]") -> "Decoded":
        """Return the figures of targets that were decoded in chunks, with the same options."""
        if len(chunks) == 1:
            return chunks[0]
        if not chunks:
            return cls(np.empty(0, np.float32))
        whole = cls(np.concatenate([chunk.logprobs for chunk in chunks]))
        for name in ("ranks", "entropies", "top_ids", "top_logprobs", "soft_cross_entropies"):
            column = [getattr(chunk, name) for chunk in chunks]
            if column[0] is not None:
                setattr(whole, name, np.concatenate(column))
        return whole


class OnnxEngine:
    def __init__(self, bundle: Bundle) -> None:
        """Load the graphs. Raises BundleError if onnxruntime cannot load them."""
        onnxruntime.disable_telemetry_events()  # only the operator may see what the service does
        manifest = bundle.manifest
        self.vocabulary_size = manifest.vocabulary_size
        self.embedding_size = manifest.embedding_size
        self.state_size = manifest.state_size
        self.block_rows = max(MIN_BLOCK_ROWS, BLOCK_BYTES // (4 * manifest.vocabulary_size))
        self._block_rows = np.array(self.block_rows, np.int64)
        self._encoder = _session(bundle, "encoder.onnx")
        self._decoder = _session(bundle, "decoder.onnx")
        _check_width(self._encoder, "state", self.state_size)
        _check_width(self._decoder, "hidden", self.embedding_size)
        self._zero_state = np.zeros(self.state_size, np.float32)
        self._zero_state.flags.writeable = False

    def zero_state(self) -> Floats:
        """Return the state (S,) from which texts start. It is shared and read-only."""
        return self._zero_state

    def encode(self, ids: Ids, lengths: NDArray[np.int32], state: Floats) -> tuple[Floats, Floats]:
        """Run ids (B, T), right-padded, with lengths (B,) from states (B, S).

        Returns the hidden vectors (N, D) of the real tokens, sequence after sequence, and the
        states (B, S) after them.
        """
        batch, steps = ids.shape
        real = np.arange(steps) < lengths[:, None]  # (B, T)
        sequence, step = np.nonzero(real)
        rows = step * batch + sequence  # where (t, b) stands in the (T · B, D) output of the LSTM
        feed = {"ids": ids, "lengths": lengths, "rows": rows, "state": state}
        hidden, new_state = self._encoder.run(["hidden", "new_state"], feed)
        return hidden, new_state

    def hidden(self, state: Floats) -> Floats:
        """Return the last layer's hidden vectors (B, D), which are part of the states (B, S)."""
        return state[:, -2 * self.embedding_size : -self.embedding_size]

    def decode(self, hidden: Floats, targets: Ids, details: bool, top: int) -> Decoded:
        """Return the figures of targets (N,) after hidden vectors (N, D): log-probabilities, with
        `details` ranks and entropies, and the `top` most probable ids, at most the vocabulary.

        The graph runs the rows in blocks, so that memory does not grow with N · V.
        """
        top = min(top, self.vocabulary_size)
        names = ["logprobs"]
        names += ["ranks", "entropies"] if details else []
        names += ["top_ids", "top_logprobs"] if top else []
        return Decoded(**self._decode(names, hidden, targets, details=details, top=top))

    def log_distribution(self, hidden: Floats) -> Floats:
        """Return the log-probabilities of every word (N, V) after hidden vectors (N, D)."""
        name, unused_targets = "log_distribution", np.zeros(len(hidden), np.int64)
        rows: Floats = self._decode([name], hidden, unused_targets, distribution=True)[name]
        return rows

    def _decode(
        self,
        names: list[str],
        hidden: Floats,
        targets: Ids,
        *,
        details: bool = False,
        top: int = 0,
        distribution: bool = False,
    ) -> dict[str, Any]:
        feed = {
            "hidden": hidden,
            "targets": targets,
            "details": np.array(details),
            "top": np.array([top], np.int64),
            "distribution": np.array(distribution),
            "block_rows": self._block_rows,
        }
        return dict(zip(names, self._decoder.run(names, feed), strict=True))

    def soft_cross_entropies(
        self, hidden: Floats, targets: list[SoftTarget]
    ) -> NDArray[np.float64]:
        """Return −Σ p log q (N,) in nats of N target distributions after hidden vectors (N, D)."""
        cross_entropies = np.empty(len(targets))
        for begin in range(0, len(targets), self.block_rows):
            rows = self.log_distribution(hidden[begin : begin + self.block_rows])
            for index, row in enumerate(rows, begin):
                ids, probabilities = targets[index]
                cross_entropies[index] = -(probabilities * row[ids]).sum()
        return cross_entropies


def _session(bundle: Bundle, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    weights = bundle.contents["weights.bin"]
    options.add_external_initializers_from_files_in_memory(
        ["weights.bin"], [weights], [len(weights)]
    )
    try:
        return onnxruntime.InferenceSession(
            bundle.contents[name], options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the exceptions of onnxruntime share no base class
        raise BundleError(f"onnxruntime cannot read {name}: {first_line(error)}") from None


def _check_width(session: onnxruntime.InferenceSession, name: str, width: int) -> None:
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    if name not in shapes or shapes[name][-1] != width:
        raise BundleError(
            f"manifest.json and the graphs disagree about the width of {name}; "
            "export the bundle again"
        )


def first_line(error: Exception) -> str:
    """Return the first line of an exception, without the paths of onnxruntime's build machine."""
    line = str(error).partition("\n")[0]
    return re.sub(r"(?<!\S)/\S+", "…", line) or type(error).__name__
