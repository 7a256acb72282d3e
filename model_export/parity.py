"""torch against onnxruntime: the gate that every bundle passes before it exists.

The graphs are run as they will be served, on ragged batches of lengths that no example fixed, and
from states that are not zero.
"""

import numpy as np
import torch

from model_export.errors import ExportError
from service.inference.engine import OnnxEngine
from train.loss import sparse_cross_entropy
from train.model import State, TiedLSTM, layer_sizes

LARGEST_DIFFERENCE = 1e-4
LENGTHS = ([1], [7, 7], [1, 2, 3, 5, 8, 13, 21, 34], [90, 1, 45, 17, 64, 2])


def check_parity(model: TiedLSTM, engine: OnnxEngine, seed: int = 0) -> dict[str, float]:
    """Largest and mean |Δ logprob| in nats, and the largest |Δ state|.

    Raises ExportError when a log-probability or a state is off by more than 1e-4.
    """
    random = np.random.default_rng(seed)
    logprob_differences = []
    state_differences = []
    for lengths in LENGTHS:
        state = np.tanh(random.normal(size=(len(lengths), engine.state_size))).astype(np.float32)
        ids = random.integers(0, engine.vocabulary_size, (len(lengths), max(lengths)))
        targets = random.integers(0, engine.vocabulary_size, sum(lengths))
        hidden, new_state = engine.encode(ids, np.array(lengths, np.int32), state)
        ours = engine.decode(hidden, targets, details=False, top=0).logprobs
        expected, expected_state = _reference(model, ids, lengths, targets, state)
        logprob_differences.append(np.abs(ours - expected))
        state_differences.append(np.abs(new_state - expected_state).max())
    differences = np.concatenate(logprob_differences)
    report = {
        "max_abs_logprob_difference": float(differences.max()),
        "mean_abs_logprob_difference": float(differences.mean()),
        "max_abs_state_difference": float(np.max(state_differences)),
    }
    largest = float(np.max(list(report.values())))  # NaN is passed on, as by np.maximum
    if not largest <= LARGEST_DIFFERENCE:
        raise ExportError(
            f"the exported graphs differ from the checkpoint by {largest:.2e}, "
            f"more than {LARGEST_DIFFERENCE:.0e}; no bundle was written"
        )
    return report


@torch.no_grad()
def _reference(
    model: TiedLSTM, ids: np.ndarray, lengths: list[int], targets: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (N,) and states (B, S) by torch, one sequence at a time without padding."""
    logprobs, states = [], []
    offset = 0
    for row, length, start in zip(ids, lengths, state, strict=True):
        hidden, end = model(torch.from_numpy(row[:length, None]), _unpack(model, start))
        wanted = torch.from_numpy(targets[offset : offset + length])
        logprobs.append(-sparse_cross_entropy(model.logits(hidden[:, 0]), wanted).numpy())
        states.append(np.concatenate([part.numpy().ravel() for layer in end for part in layer]))
        offset += length
    return np.concatenate(logprobs), np.stack(states)


def _unpack(model: TiedLSTM, state: np.ndarray) -> State:
    """(S,) → h and c of every layer, each (1, 1, width)."""
    sizes = [width for _, width in layer_sizes(model.config) for _ in ("h", "c")]
    parts = [torch.from_numpy(p)[None, None] for p in np.split(state, np.cumsum(sizes)[:-1])]
    return list(zip(parts[::2], parts[1::2], strict=True))
