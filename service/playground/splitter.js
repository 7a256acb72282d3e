// Where a text that is being typed may be cut: into finished words, whose state can be kept; what
// follows them; and the beginning of the word that is being typed.
//
//     It was “hel      finished "It was "    head "“"    prefix "hel"
//
// How a model cuts its text is learnt from how it cuts one line, for the wire does not say.

import { post } from "./api.js";

const LINE = "the of, the";
const HALF_WORD = /(?:(?<=[\p{L}\p{M}\p{N}])['’]\p{L}{0,2}|\p{L}[\p{L}\p{M}]*|\p{N}+)$/u;
const HALF_PIECE = /(?: ?\p{L}[\p{L}\p{M}]*| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+| )$/u;
const CLOSING = /^(?:[.,;:!?%)\]}…”»]|['’]\p{L}{1,2}$)/u;

export class Splitter {
  #kind;

  /** `kind`: characters, pieces (with the space before them), or words, split at `spaces` alone. */
  constructor(kind) {
    this.#kind = kind;
  }

  static async learn() {
    const answer = await post("/score", { text: LINE, eos: false });
    const [{ tokens, words }] = answer.results;
    if (words !== undefined) {
      const single = tokens.every((token) => token.end - token.start === 1);
      return new Splitter(single ? "characters" : "pieces");
    }
    const apart = tokens.some((token) => LINE.slice(token.start, token.end) === ",");
    return new Splitter(apart ? "words" : "spaces");
  }

  split(text) {
    if (this.#kind === "characters") return { finished: text, head: "", prefix: "" };
    let end = text.length;
    while (end > 0 && !isSpace(text[end - 1])) end -= 1;
    // White space of a line goes with the piece that follows it, and with no word.
    while (this.#kind === "pieces" && end > 0 && isSpace(text[end - 1]) && text[end - 1] !== "\n") end -= 1;
    const finished = text.slice(0, end);
    const tail = text.slice(end);
    const half = { pieces: HALF_PIECE, words: HALF_WORD, spaces: /\S*$/u }[this.#kind];
    const prefix = half.exec(tail)?.[0] ?? "";
    return { finished, head: tail.slice(0, tail.length - prefix.length), prefix };
  }

  /** What to put into the text, and from where on, when a prediction is taken. */
  accept(before, prefix, word) {
    const from = before.length - prefix.length;
    if (this.#kind === "characters" || this.#kind === "pieces") return { from, inserted: word };
    const glued = prefix === "" && /\S$/u.test(before) && !CLOSING.test(word);
    const closes = prefix === "" && this.#kind === "words" && CLOSING.test(word) && /\S $/u.test(before);
    return { from: closes ? from - 1 : from, inserted: `${glued ? " " : ""}${word} ` };
  }

  /** A vocabulary's entry as it stands in a text: pieces write each byte as one character. */
  spelling(entry) {
    if (this.#kind !== "pieces") return entry;
    const bytes = Array.from(entry, (character) => BYTE_OF.get(character));
    if (bytes.includes(undefined)) return entry;
    return new TextDecoder().decode(new Uint8Array(bytes));
  }
}

function isSpace(character) {
  return /\s/u.test(character);
}

/** GPT-2's table: printable characters of Latin-1 are themselves, other bytes follow U+0100. */
function table() {
  const found = new Map();
  let shifted = 0x100;
  for (let byte = 0; byte < 0x100; byte += 1) {
    const itself = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    found.set(String.fromCharCode(itself ? byte : shifted), byte);
    if (!itself) shifted += 1;
  }
  return found;
}

const BYTE_OF = table();
