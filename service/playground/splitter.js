// Splits a text that is being typed into three parts: finished words, whose state can be kept; the
// characters after them; and the start of the word that is being typed.
//
//     It was “hel      finished "It was "    head "“"    prefix "hel"
//
// Subword tokenizers split a text into pre-tokens, from left to right (train/data/subword.py).
// Everything before the last pre-token is finished.

const KINDS = {
  words: "words",
  whitespace: "whitespace",
  char: "characters",
  bpe: "subwords",
  unigram: "subwords",
};
const HALF_WORD = /(?:(?<=[\p{L}\p{M}\p{N}])['’]\p{L}{0,2}|\p{L}[\p{L}\p{M}]*|\p{N}+)$/u;
const PRETOKEN = new RegExp(
  [
    String.raw`['’]\p{L}{1,2}(?![\p{L}\p{M}])`,
    String.raw` ?\p{L}[\p{L}\p{M}]{0,31}`,
    String.raw` ?\p{N}{1,3}`,
    String.raw` ?[^\s\p{L}\p{N}]{1,16}`,
    String.raw`\s{1,16}(?!\S)|\s{1,16}`,
  ].join("|"),
  "gu",
);
// Punctuation and clitics, which follow a word without a space.
const CLOSING = /^(?:[.,;:!?%)\]}…”»]|['’]\p{L}{1,2}$)/u;

export class Splitter {
  #kind;

  /** `kind` is "characters", "subwords", "words", or "whitespace" for words split only at spaces. */
  constructor(kind) {
    this.#kind = kind;
  }

  /** Creates the splitter for the tokenizer in the response of `/info`. */
  static of(info) {
    return new Splitter(KINDS[info.tokenizer.kind]);
  }

  /** Whether predictions are subwords, which may also continue in the middle of a word. */
  get isSubword() {
    return this.#kind === "subwords";
  }

  split(text) {
    if (this.#kind === "characters") return { finished: text, head: "", prefix: "" };
    if (this.#kind === "subwords") return splitPretokens(text);
    let end = text.length;
    while (end > 0 && !isSpace(text[end - 1])) end -= 1;
    const tail = text.slice(end);
    const halfWord = { words: HALF_WORD, whitespace: /\S*$/u }[this.#kind];
    const prefix = halfWord.exec(tail)?.[0] ?? "";
    return { finished: text.slice(0, end), head: tail.slice(0, tail.length - prefix.length), prefix };
  }

  /** Returns how a prediction changes the text: insert `inserted` instead of all after `from`. */
  accept(before, prefix, word) {
    const from = before.length - prefix.length;
    if (this.#kind === "characters" || this.#kind === "subwords") return { from, inserted: word };
    const needsSpace = prefix === "" && /\S$/u.test(before) && !CLOSING.test(word);
    const removesSpace =
      prefix === "" && this.#kind === "words" && CLOSING.test(word) && /\S $/u.test(before);
    return { from: removesSpace ? from - 1 : from, inserted: `${needsSpace ? " " : ""}${word} ` };
  }
}

function splitPretokens(text) {
  const lineStart = text.lastIndexOf("\n") + 1;
  let pretoken = "";
  for (const [match] of text.slice(lineStart).matchAll(PRETOKEN)) pretoken = match;
  const finished = text.slice(0, text.length - pretoken.length);
  if (pretoken.trim() !== "" || pretoken === "") return { finished, head: "", prefix: pretoken };
  // The last space of white space belongs to the next word.
  const prefix = pretoken.endsWith(" ") ? " " : "";
  return { finished, head: pretoken.slice(0, pretoken.length - prefix.length), prefix };
}

function isSpace(character) {
  return /\s/u.test(character);
}
