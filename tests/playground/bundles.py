"""Character and subword bundles without training: the starter's weights with other tokenizers.

Their scores are meaningless, but suffice to compare the page with the API.
"""

import shutil
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from service.bundle import Bundle
from service.settings import STARTER_BUNDLE
from tests.support.bundles import edit_manifest, replace

SIZE = Bundle.load(STARTER_BUNDLE).manifest.vocabulary_size
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
PRETOKEN = Regex(
    r"['’]\p{L}{1,2}(?![\p{L}\p{M}])| ?\p{L}[\p{L}\p{M}]{0,31}| ?\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]{1,16}|\s{1,16}(?!\S)|\s{1,16}"
)
# In the order of their ids. The starter's more frequent words have lower ids.
WORDS = [
    *["我们", "可以", "使用者", "电脑", "，", "。", "这个", "模型", "他", "在"],
    *[" the", " river", " rivers", " Par", "Par", "is", " value", "s", "川", "の", "水", "น้ำ"],
]


def subword_tokenizer() -> tokenizers.Tokenizer:
    """Return byte pairs for `WORDS` and for each of their prefixes."""
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        ((spelled, _),) = to_bytes.pre_tokenize_str(word)
        whole = ""
        for character in word:
            ((letters, _),) = to_bytes.pre_tokenize_str(character)
            joined = letters[0]
            for letter in letters[1:]:
                merges[joined, letter] = None
                joined += letter
            if whole:
                merges[whole, joined] = None
            whole += joined
        assert whole == spelled
    entries = [*BYTES[:1], "<eos>", *("".join(pair) for pair in merges), *BYTES[1:]]
    unused = [f"<unused{index}>" for index in range(SIZE - len(set(entries)))]
    vocabulary = {entry: i for i, entry in enumerate([*dict.fromkeys(entries), *unused])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, list(merges)))
    split = pre_tokenizers.Split(PRETOKEN, behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("<eos>", "Ċ"), decoders.ByteLevel()])
    tokenizer.add_tokens([AddedToken("<eos>", normalized=False)])
    return tokenizer


def character_tokenizer() -> tokenizers.Tokenizer:
    """Return Latin, accents, kana, Thai, and as many Chinese characters as fit."""
    ranges = (range(0x20, 0x7F), range(0x300, 0x370), range(0x3001, 0x3100), range(0xE01, 0xE5C))
    characters = [chr(code) for codes in (*ranges, range(0x4E00, 0x9FFF)) for code in codes]
    entries = ["<unk>", "<eos>", *characters][:SIZE]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"<unk>|<eos>|[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("<eos>", "\n"), decoders.Fuse()])
    return tokenizer


def write_bundle(kind: str, folder: Path) -> Path:
    """Write a bundle of `kind`, "bpe" or "char", into `folder` and return its path."""
    tokenizer = {"bpe": subword_tokenizer, "char": character_tokenizer}[kind]()
    path = folder / kind
    shutil.copytree(STARTER_BUNDLE, path)
    replace(path, "tokenizer.json", tokenizer.to_str().encode())
    changes = {"name": kind, "subword": True, "unknown_token_id": tokenizer.token_to_id("<unk>")}
    edit_manifest(path, lambda manifest: manifest.update(changes))
    return path
