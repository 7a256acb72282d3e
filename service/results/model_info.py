"""The facts about a served model that do not change while it is served."""

from dataclasses import dataclass
from typing import Any

from service.bundle import Bundle
from service.text.tokenizer import Tokenizer
from service.text.tokenizer_kind import Kind


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Name, sizes, special tokens and origin of a model. `started_at` is in seconds since 1970."""

    name: str
    bundle_hash: str
    precision: str
    vocabulary_size: int
    parameters: int
    tokenizer_kind: Kind
    subword: bool  # a word may be several tokens
    end_id: int
    end_token: str
    unknown_id: int | None
    unknown_token: str | None
    threads: int
    started_at: int
    parity: dict[str, float]
    training: dict[str, Any]

    @property
    def labels(self) -> tuple[str, str, str, str]:
        """The labels of the metric `tiedlm_bundle_info`."""
        return self.name, self.bundle_hash, self.precision, str(self.vocabulary_size)


def model_info(bundle: Bundle, tokenizer: Tokenizer, threads: int, started_at: int) -> ModelInfo:
    """Collect the facts from a bundle, its tokenizer and the number of worker threads."""
    manifest, unknown = bundle.manifest, tokenizer.unknown_id
    return ModelInfo(
        name=manifest.name,
        bundle_hash=bundle.hash,
        precision=manifest.precision,
        vocabulary_size=manifest.vocabulary_size,
        parameters=manifest.parameters,
        tokenizer_kind=tokenizer.kind,
        subword=tokenizer.subword,
        end_id=tokenizer.end_id,
        end_token=tokenizer.entries[tokenizer.end_id],
        unknown_id=unknown,
        unknown_token=None if unknown is None else tokenizer.entries[unknown],
        threads=threads,
        started_at=started_at,
        parity=manifest.parity,
        training=manifest.training,
    )
