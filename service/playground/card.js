// The card next to a word: its probability, rank and entropy, and the most probable alternatives.

import { createElement } from "./dom.js";
import { formatNumber, formatPercent, formatSurface } from "./format.js";

const HIDE_DELAY_MILLISECONDS = 200; // time to move the pointer from the word to the card
const UNKNOWN = "<unk>";
const MARGIN = 8;
const MAX_TOKENS = 6; // listed tokens of a word
const SPOKEN_ALTERNATIVES = 3;

const card = document.getElementById("card");
const announcer = document.getElementById("announcer");
let hideTimer = 0;

card.addEventListener("pointerenter", () => clearTimeout(hideTimer));
card.addEventListener("pointerleave", hideSoon);
window.addEventListener("scroll", hide, { passive: true });

export function show(item, unit) {
  clearTimeout(hideTimer);
  card.replaceChildren(...content(item, unit));
  card.hidden = false;
  place(item.span.getBoundingClientRect());
}

export function hideSoon() {
  clearTimeout(hideTimer);
  hideTimer = setTimeout(hide, HIDE_DELAY_MILLISECONDS);
}

export function hide() {
  clearTimeout(hideTimer);
  card.hidden = true;
}

/** Announces a focused word to screen readers. */
export function announce(item, unit) {
  const part = item.parts[0];
  const expected = alternatives(item)
    .slice(0, SPOKEN_ALTERNATIVES)
    .map((token) => `${tokenLabel(token)} ${formatPercent(Math.exp(token.logprob))}`);
  announcer.textContent = [
    `${itemLabel(item)}: ${formatNumber(item.cross_entropy)} ${unit}`,
    `probability ${formatPercent(probability(item))}`,
    part?.rank ? `rank ${part.rank}` : "",
    item.oov ? "not in the vocabulary" : "",
    expected.length ? `expected ${expected.join(", ")}` : "",
  ]
    .filter(Boolean)
    .join("; ");
}

export function itemLabel(item) {
  return item.surface === "" ? "end of text" : formatSurface(item.surface);
}

export function probability(item) {
  return item.logprob === null ? null : Math.exp(item.logprob);
}

/** The label of an alternative; the unknown-word token has a name, because no text contains it. */
function tokenLabel(token) {
  return token.text === UNKNOWN ? "an unknown word" : formatSurface(token.surface);
}

function alternatives(item) {
  return item.parts[0]?.top ?? [];
}

function content(item, unit) {
  const title = createElement("p", "card-title");
  const word = createElement("bdi", "", itemLabel(item));
  title.append(word, createElement("span", "card-surprise", `${formatNumber(item.cross_entropy)} ${unit}`));
  const [part] = item.parts;
  const facts = createElement("dl");
  addFact(facts, "probability", formatPercent(probability(item)));
  if (item.parts.length === 1) {
    addFact(facts, "rank", `${formatNumber(part.rank, 0)} of ${formatNumber(item.vocabularySize, 0)}`);
    addFact(facts, "entropy", `${formatNumber(part.entropy)} ${unit}`);
  } else {
    addFact(facts, "tokens", String(item.parts.length));
  }
  const children = [title, facts];
  if (item.oov) {
    const note = "Not in the vocabulary: the values are those of the unknown-word token.";
    children.push(createElement("p", "card-note", note));
  }
  if (item.parts.length > 1) {
    children.push(createElement("p", "card-head", "Tokens"), tokenList(item.parts, unit));
  }
  const expected = alternatives(item);
  if (expected.length) {
    children.push(createElement("p", "card-head", "Most probable here"), alternativeList(expected, part));
  }
  return children;
}

function tokenList(parts, unit) {
  const list = createElement("ul", "expected");
  for (const token of parts.slice(0, MAX_TOKENS)) {
    const row = createElement("li");
    row.append(createElement("bdi", "", formatSurface(token.surface)));
    row.append(createElement("span", "value", `${formatNumber(token.cross_entropy)} ${unit}`));
    list.append(row);
  }
  const hidden = parts.length - MAX_TOKENS;
  if (hidden > 0) list.append(createElement("li", "", `and ${hidden} more`));
  return list;
}

function addFact(list, name, value) {
  list.append(createElement("dt", "", name), createElement("dd", "", value));
}

function alternativeList(tokens, part) {
  const list = createElement("ul", "expected");
  const highest = Math.exp(tokens[0].logprob);
  for (const token of tokens) {
    const row = createElement("li", token.id === part.id ? "same" : "");
    const bar = createElement("span", "bar-fill");
    const value = Math.exp(token.logprob);
    bar.style.width = `${(value / highest) * 100}%`;
    row.append(bar, createElement("bdi", "", tokenLabel(token)), createElement("span", "value", formatPercent(value)));
    list.append(row);
  }
  return list;
}

/** Places the card under the word, or above it if there is no space below. */
function place(word) {
  const { width, height } = card.getBoundingClientRect();
  const maxLeft = document.documentElement.clientWidth - width - MARGIN;
  const under = word.bottom + MARGIN;
  const fits = under + height <= window.innerHeight;
  card.style.left = `${Math.max(MARGIN, Math.min(word.left, maxLeft))}px`;
  card.style.top = `${fits ? under : Math.max(MARGIN, word.top - height - MARGIN)}px`;
}
