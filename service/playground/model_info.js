// The model that the server serves, from `/info`. The request is sent once.

import { get } from "./api.js";
import { formatNumber } from "./format.js";

let pendingInfo = null;

/** The response of `/info`. */
export function modelInfo() {
  pendingInfo ??= get("/info").catch((error) => {
    pendingInfo = null;
    throw error;
  });
  return pendingInfo;
}

/** Sends the request again next time, because the server may have another model. */
export function forgetModelInfo() {
  pendingInfo = null;
}

/** Whether a word may be several tokens of this model. */
export async function isSubword() {
  return (await modelInfo()).tokenizer.subword;
}

const ENTRIES = { words: "words", whitespace: "words", char: "characters", bpe: "subwords", unigram: "subwords" };

/** The kind of the vocabulary's entries: "words", "characters" or "subwords". */
export async function vocabularyEntries() {
  return ENTRIES[(await modelInfo()).tokenizer.kind];
}

/** One line about a model: "starter · 14,000 words · 9.5 million parameters · int8". */
export function describeModel(info) {
  const entries = `${formatNumber(info.vocabulary_size, 0)} ${ENTRIES[info.tokenizer.kind]}`;
  const isSmall = info.parameters < 1e5;
  const count = isSmall ? formatNumber(info.parameters, 0) : `${formatNumber(info.parameters / 1e6, 1)} million`;
  return [info.model, entries, `${count} parameters`, info.precision].join(" · ");
}
