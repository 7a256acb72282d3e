"""The configuration of a run: every key, its range, its default and its meaning."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
SMALLEST_SUBWORD_VOCABULARY = 257  # all bytes and <eos>


class Section(BaseModel):
    """A table of the TOML file. Unknown keys, wrong types and infinite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """The division of a text that has no splits. A text with splits keeps them.

    `split = "end"` holds out the last lines. `"random"` holds out documents, chosen by `seed`. A
    document is a `file`, a `paragraph` (lines between blank lines) or a `line`. `auto` chooses
    files if the text has 20 or more, else paragraphs if it has 20 or more, else lines.
    """

    split: Literal["end", "random"] = "end"
    document: Literal["auto", "file", "paragraph", "line"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1


class TokenizerConfig(Section):
    """The kind and size of the vocabulary.

    The tokens of `whitespace` and `words` are words, those of `char` are characters. Those of `bpe`
    (byte-level, Sennrich et al. 2016) and `unigram` (Kudo 2018) are subwords, without `<unk>`.

    `vocabulary_size` counts `<unk>` and `<eos>`. Without it, every word or character of the text is
    kept, or 8,000 subwords if the text has that many. `minimum_count` applies to words and
    characters.
    """

    kind: Literal["whitespace", "words", "char", "bpe", "unigram"] = "words"
    vocabulary_size: Annotated[int, Field(ge=3)] | None = None
    minimum_count: Positive = 1

    @model_validator(mode="after")
    def _fits_all_bytes(self) -> Self:
        is_subword, size = self.kind in ("bpe", "unigram"), self.vocabulary_size
        if is_subword and size is not None and size < SMALLEST_SUBWORD_VOCABULARY:
            raise ValueError(
                f"{self.kind} needs a vocabulary_size of {SMALLEST_SUBWORD_VOCABULARY} or more: "
                "all 256 bytes and <eos>"
            )
        return self


class ModelConfig(Section):
    """The sizes of the model, and the dropouts inside it, which act in training alone.

    `hidden_size` is the width of all LSTM layers except the last. The last layer is always
    `embedding_size` wide, because the softmax layer multiplies its output by the embedding matrix.
    `tied = false` gives the softmax layer a matrix of its own. It exists for comparisons; untied
    models cannot be exported.

    `dropout_embedding` drops whole words of the vocabulary, `dropout_input` entries of their
    vectors, `dropout_hidden` entries between layers, `dropout_output` entries before the softmax.
    With `locked_dropout` a mask is the same at all time steps of a sequence (Gal & Ghahramani
    2016). `dropout_weight` drops entries of the recurrent matrices (weight-drop, Merity et al.
    2017).
    """

    embedding_size: Positive = 400
    hidden_size: Positive = 400
    layers: Positive = 2
    tied: bool = True
    locked_dropout: bool = True
    dropout_embedding: Probability = 0.0
    dropout_input: Probability = 0.3
    dropout_hidden: Probability = 0.3
    dropout_output: Probability = 0.3
    dropout_weight: Probability = 0.0


class TeacherConfig(Section):
    """Distillation (Hinton et al. 2015): the loss becomes (1 − weight) · sparse + weight · dense
    cross-entropy, the dense one against the distribution of the checkpoint `checkpoint` at
    `temperature`. The teacher must have the same vocabulary.
    """

    checkpoint: str
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0


class LossConfig(Section):
    """Terms that are added to the cross-entropy, in training alone.

    `label_smoothing` mixes the target with the uniform distribution (Szegedy et al. 2016).
    `activation` is the weight of the mean square of the last layer's hidden vectors after dropout,
    `temporal_activation` that of their differences from one time step to the next (AR and TAR,
    Merity et al. 2017). `past_decode` is the weight of the cross-entropy of the last input word,
    decoded from the predicted distribution (PDR, Brahma 2018).
    """

    label_smoothing: Probability = 0.0
    activation: Weight = 0.0
    temporal_activation: Weight = 0.0
    past_decode: Weight = 0.0
    teacher: TeacherConfig | None = None


class AverageConfig(Section):
    """The choice of weights that are validated and kept.

    `none` keeps the last weights. `ema` keeps their exponential moving average, with `decay` per
    step. `nt-asgd` keeps their mean since validation stopped improving for `patience` epochs
    (non-monotonically triggered ASGD, Merity et al. 2017). This `patience` must be at most
    `train.patience` − 2.
    """

    kind: Literal["none", "ema", "nt-asgd"] = "none"
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    patience: Positive = 5


class TrainConfig(Section):
    """Truncated back-propagation through time.

    `batch_size` counts the parallel streams of all processes, `bptt_length` the tokens of each
    stream in one step. With `random_bptt` the length varies by some tokens, and is halved in one
    step of twenty; the learning rate varies with it (Merity et al. 2017). `partial_shuffle` starts
    the streams at another place in every epoch (Press 2019). `state_reset_probability` is the
    chance that a stream reads its line from the zero state, as the service does. Training stops
    after `patience` epochs without a better validation perplexity, or after `max_steps` steps of
    the optimiser, also within an epoch. The schedule of the learning rate ends at `max_steps`, too.

    `optimizer` is AdamW (Loshchilov & Hutter 2017; decay acts on matrices alone) or plain SGD.
    `schedule` is half a cosine down to `final_learning_rate_ratio`, or constant, both after a
    linear warm-up. `precision = "bfloat16"` multiplies in bfloat16 and keeps weights, softmax and
    optimiser in float32. `"auto"` does so if the hardware has the instructions. `compile` passes
    the loss to `torch.compile`, which needs a C++ compiler on a CPU. `threads` is the number of CPU
    threads, by default one per core that the process may use. It changes the speed alone: a run may
    be resumed with another number.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    epochs: Positive = 10
    batch_size: Positive = 32
    bptt_length: Positive = 35
    random_bptt: bool = False
    partial_shuffle: bool = False
    state_reset_probability: Probability = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    final_learning_rate_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    weight_decay: Weight = 0.02
    gradient_clip: Annotated[float, Field(gt=0)] = 0.25
    patience: Positive = 3
    max_steps: Positive | None = None
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    threads: Positive | None = None
    log_every_steps: Positive = 50
    checkpoint_every_seconds: Weight = 60.0


class Config(Section):
    """All keys of a run. `name` becomes the id of the served model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: str = ""
    data_license: str = "unknown: ask whoever holds the rights to the training text"
    limitations: str = ""
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    average: AverageConfig = AverageConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _average_begins(self) -> Self:
        start, stop = self.average.patience, self.train.patience
        if self.average.kind == "nt-asgd" and start > stop - 2:
            raise ValueError(
                f"average.patience = {start}: the average would begin {start + 1} epochs after the "
                f"best one, but training ends {stop} epochs after it; raise train.patience"
            )
        return self
