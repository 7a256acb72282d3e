"""Character and byte-pair tokenizers, built with the library and without the trainer."""

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from service.text.tokenizer import Tokenizer
from tests.service.text.test_tokenizer import tiny_manifest

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [
    *[("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("c", "a"), ("ca", "t"), ("Ġ", "cat"), ("Ġ", "c")],
    *[("æ", "²"), ("æ²", "³"), ("Ġ", "æ")],  # 河 is e6 b2 b3
]


def byte_pair_tokenizer() -> tokenizers.Tokenizer:
    merged = [left + right for left, right in MERGES]
    entries = [BYTES[0], "<eos>", *BYTES[1:], *merged]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    made = tokenizers.Tokenizer(models.BPE(vocabulary, MERGES))
    runs = Regex(r" ?[^\s]{1,20}|\s{1,3}(?!\S)|\s{1,3}")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(runs, "isolated"), to_bytes])
    made.decoder = decoders.Sequence([decoders.Replace("<eos>", "Ċ"), decoders.ByteLevel()])
    made.add_tokens([AddedToken("<eos>", normalized=False)])
    return made


def character_tokenizer() -> tokenizers.Tokenizer:
    vocabulary = {entry: index for index, entry in enumerate(["<unk>", "<eos>", *"theca 河é<>os"])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"<unk>|<eos>|[\s\S]"), "isolated")
    made.decoder = decoders.Sequence([decoders.Replace("<eos>", "\n"), decoders.Fuse()])
    return made


def as_served(made: tokenizers.Tokenizer) -> Tokenizer:
    manifest = tiny_manifest(
        vocabulary_size=made.get_vocab_size(),
        unknown_token_id=made.token_to_id("<unk>"),
        subword=True,
    )
    return Tokenizer(made.to_str().encode(), manifest)


BYTE_PAIRS = as_served(byte_pair_tokenizer())
CHARACTERS = as_served(character_tokenizer())
SUBWORD = {"pieces": BYTE_PAIRS, "characters": CHARACTERS}
