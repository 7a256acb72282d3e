// Where a text that is being typed may be cut: into finished words, whose state can be kept; what
// follows them; and the beginning of the word that is being typed.
//
//     It was “hel      finished "It was "    head "“"    prefix "hel"
//
// Pieces of words are cut inside of runs, which are found from left to right (train/pieces.py):
// what stands before the last run is finished.

const KINDS = { words: "words", whitespace: "spaces", char: "characters", bpe: "pieces", unigram: "pieces" };
const HALF_WORD = /(?:(?<=[\p{L}\p{M}\p{N}])['’]\p{L}{0,2}|\p{L}[\p{L}\p{M}]*|\p{N}+)$/u;
const RUN = new RegExp(
  [
    String.raw`['’]\p{L}{1,2}(?![\p{L}\p{M}])`,
    String.raw` ?\p{L}[\p{L}\p{M}]{0,31}`,
    String.raw` ?\p{N}{1,3}`,
    String.raw` ?[^\s\p{L}\p{N}]{1,16}`,
    String.raw`\s{1,16}(?!\S)|\s{1,16}`,
  ].join("|"),
  "gu",
);
const CLOSING = /^(?:[.,;:!?%)\]}…”»]|['’]\p{L}{1,2}$)/u;

export class Splitter {
  #kind;

  /** `kind`: characters, pieces (with the space before them), or words, split at `spaces` alone. */
  constructor(kind) {
    this.#kind = kind;
  }

  /** For the model that `/info` describes. */
  static of(info) {
    return new Splitter(KINDS[info.tokenizer.kind]);
  }

  /** Whether predictions are pieces of words, which may also go on in the middle of a word. */
  get ofPieces() {
    return this.#kind === "pieces";
  }

  split(text) {
    if (this.#kind === "characters") return { finished: text, head: "", prefix: "" };
    if (this.#kind === "pieces") return splitRuns(text);
    let end = text.length;
    while (end > 0 && !isSpace(text[end - 1])) end -= 1;
    const tail = text.slice(end);
    const half = { words: HALF_WORD, spaces: /\S*$/u }[this.#kind];
    const prefix = half.exec(tail)?.[0] ?? "";
    return { finished: text.slice(0, end), head: tail.slice(0, tail.length - prefix.length), prefix };
  }

  /** What to put into the text, and from where on, when a prediction is taken. */
  accept(before, prefix, word) {
    const from = before.length - prefix.length;
    if (this.#kind === "characters" || this.#kind === "pieces") return { from, inserted: word };
    const glued = prefix === "" && /\S$/u.test(before) && !CLOSING.test(word);
    const closes = prefix === "" && this.#kind === "words" && CLOSING.test(word) && /\S $/u.test(before);
    return { from: closes ? from - 1 : from, inserted: `${glued ? " " : ""}${word} ` };
  }
}

function splitRuns(text) {
  const line = text.lastIndexOf("\n") + 1;
  let run = "";
  for (const [found] of text.slice(line).matchAll(RUN)) run = found;
  const finished = text.slice(0, text.length - run.length);
  if (run.trim() !== "" || run === "") return { finished, head: "", prefix: run };
  // Of white space, the last space goes with the word that follows.
  const prefix = run.endsWith(" ") ? " " : "";
  return { finished, head: run.slice(0, run.length - prefix.length), prefix };
}

function isSpace(character) {
  return /\s/u.test(character);
}
