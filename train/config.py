"""The configuration of a run: every key, its range and its meaning."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
SMALLEST_OF_PIECES = 257


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """How a text without splits is divided. Text that has splits is taken as it is.

    `split = "end"` holds out the last lines. `"random"` holds out documents, chosen by `seed`. A
    document is a `file`, a `paragraph` (lines between blank lines) or a `line`; `auto` takes files
    where there are 20 or more, else paragraphs where there are 20 or more, else lines.
    """

    split: Literal["end", "random"] = "end"
    document: Literal["auto", "file", "paragraph", "line"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1


class TokenizerConfig(Section):
    """`whitespace` and `words` keep whole words, `char` characters; `bpe` (byte-level, Sennrich et
    al. 2016) and `unigram` (Kudo 2018) keep pieces of words and know no `<unk>`.

    `vocabulary_size` counts `<unk>` and `<eos>`; none of it given keeps every word or character
    seen, and 8,000 pieces, fewer if the text has fewer. `minimum_count` is for words and
    characters.
    """

    kind: Literal["whitespace", "words", "char", "bpe", "unigram"] = "words"
    vocabulary_size: Annotated[int, Field(ge=3)] | None = None
    minimum_count: Positive = 1

    @model_validator(mode="after")
    def _room_for_bytes(self) -> Self:
        pieces, size = self.kind in ("bpe", "unigram"), self.vocabulary_size
        if pieces and size is not None and size < SMALLEST_OF_PIECES:
            raise ValueError(
                f"{self.kind} needs a vocabulary_size of {SMALLEST_OF_PIECES} or more: "
                "all 256 bytes and <eos>"
            )
        return self


class ModelConfig(Section):
    """Sizes, and the dropout that acts inside of the model in training.

    `hidden_size` is the width of all LSTM layers but the last; that one is always `embedding_size`
    wide, because its output meets the embedding matrix again in the softmax layer. `tied = false`
    gives the softmax a matrix of its own; it exists for the comparison and cannot be exported.

    `dropout_embedding` drops whole words of the vocabulary, `dropout_input` of their vectors,
    `dropout_hidden` between layers, `dropout_output` before the softmax. With `locked_dropout` a
    mask is the same at all time steps of a sequence (Gal & Ghahramani 2016). `dropout_weight`
    drops entries of the recurrent matrices (weight-drop, Merity et al. 2017).
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
    """What is added to the cross-entropy in training, and nowhere else.

    `label_smoothing` mixes the target with the uniform distribution (Szegedy et al. 2016).
    `activation` and `temporal_activation` weigh the mean square of the last layer's dropped-out
    hidden vectors, and of the differences between neighbours in time (AR and TAR, Merity et al.
    2017). `past_decode` weighs the cross-entropy of the last word read, decoded from the predicted
    distribution (PDR, Brahma 2018).
    """

    label_smoothing: Probability = 0.0
    activation: Weight = 0.0
    temporal_activation: Weight = 0.0
    past_decode: Weight = 0.0
    teacher: TeacherConfig | None = None


class AverageConfig(Section):
    """Which weights are validated and kept: the last ones, an exponential moving average of them
    (`ema`, with `decay` a step), or their mean since validation stopped improving for `patience`
    epochs (`nt-asgd`, non-monotonically triggered ASGD, Merity et al. 2017), which must be
    two less than `train.patience` or fewer.
    """

    kind: Literal["none", "ema", "nt-asgd"] = "none"
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    patience: Positive = 5


class TrainConfig(Section):
    """Truncated back-propagation through time.

    `batch_size` counts parallel streams over all processes, `bptt_length` the tokens of each in one
    step; with `random_bptt` it is halved in one step of twenty and varies by some tokens, the
    learning rate with it (Merity et al. 2017). `partial_shuffle` starts every epoch's streams at
    another place (Press 2019). `state_reset_probability` is the chance that a stream reads a line
    from the zero state, as serving does. `patience` counts the epochs without a better validation
    perplexity after which training stops. `max_steps` ends training after that many steps of the
    optimiser, within an epoch too, and the schedule of the learning rate ends there.

    `optimizer` is AdamW (Loshchilov & Hutter 2017; decay acts on matrices alone) or plain SGD;
    `schedule` is half a cosine down to `final_learning_rate_ratio`, or constant, both after a
    linear warm-up. `precision = "bfloat16"` multiplies in bfloat16 and keeps weights, softmax and
    optimiser in float32; `"auto"` does so where the hardware has the instructions. `compile` hands
    the loss to `torch.compile`, which needs a C++ compiler on a CPU. `threads` is the number of CPU
    threads; without it there is one for each core that the process may use. It acts on the speed:
    a run goes on with any number.
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
    """`name` becomes the model's id wherever it is served."""

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
        mine, stop = self.average.patience, self.train.patience
        if self.average.kind == "nt-asgd" and mine > stop - 2:
            raise ValueError(
                f"average.patience is {mine}, so that the average begins {mine + 1} epochs after "
                f"the best one, but training ends {stop} after it (train.patience)"
            )
        return self
