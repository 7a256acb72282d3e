// The card beside a word: its probability, rank and entropy, and what was expected instead.

import { element, number, percent, readable } from "./figures.js";

const LEAVE_MILLISECONDS = 200; // time to move the pointer from the word onto the card
const UNKNOWN = "<unk>";
const MARGIN = 8;
const MOST_TOKENS = 6; // of a word that are listed

const card = document.getElementById("card");
const spoken = document.getElementById("spoken");
let leaving = 0;

card.addEventListener("pointerenter", () => clearTimeout(leaving));
card.addEventListener("pointerleave", hideSoon);
window.addEventListener("scroll", hide, { passive: true });

export function show(item, unit) {
  clearTimeout(leaving);
  card.replaceChildren(...content(item, unit));
  card.hidden = false;
  place(item.span.getBoundingClientRect());
}

export function hideSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(hide, LEAVE_MILLISECONDS);
}

export function hide() {
  clearTimeout(leaving);
  card.hidden = true;
}

/** For screen readers, when a word gets the focus. */
export function speak(item, unit) {
  const part = item.parts[0];
  const expected = alternatives(item)
    .slice(0, 3)
    .map((one) => `${named(one)} ${percent(Math.exp(one.logprob))}`);
  spoken.textContent = [
    `${label(item)}: ${number(item.cross_entropy)} ${unit}`,
    `probability ${percent(probability(item))}`,
    part?.rank ? `rank ${part.rank}` : "",
    item.oov ? "not in the vocabulary" : "",
    expected.length ? `expected ${expected.join(", ")}` : "",
  ]
    .filter(Boolean)
    .join("; ");
}

export function label(item) {
  return item.surface === "" ? "end of text" : readable(item.surface);
}

export function probability(item) {
  return item.logprob === null ? null : Math.exp(item.logprob);
}

/** An alternative as it is shown: what is in no text has a name. */
function named(one) {
  return one.text === UNKNOWN ? "an unknown word" : readable(one.surface);
}

function alternatives(item) {
  return item.parts[0]?.top ?? [];
}

function content(item, unit) {
  const title = element("p", "card-title");
  const word = element("bdi", "", label(item));
  title.append(word, element("span", "card-surprise", `${number(item.cross_entropy)} ${unit}`));
  const [part] = item.parts;
  const facts = element("dl");
  fact(facts, "probability", percent(probability(item)));
  if (item.parts.length === 1) {
    fact(facts, "rank", `${number(part.rank, 0)} of ${number(item.vocabularySize, 0)}`);
    fact(facts, "entropy", `${number(part.entropy)} ${unit}`);
  } else {
    fact(facts, "tokens", String(item.parts.length));
  }
  const made = [title, facts];
  if (item.oov) {
    made.push(element("p", "card-note", "Not in the vocabulary: the figures are those of any unknown word."));
  }
  const found = alternatives(item);
  if (item.parts.length > 1) made.push(element("p", "card-head", "Its tokens"), tokens(item.parts, unit));
  if (found.length) {
    made.push(element("p", "card-head", "Expected here"), expected(found, part));
  }
  return made;
}

/** What each token of a word costs; several may share a character. */
function tokens(parts, unit) {
  const list = element("ul", "expected");
  for (const token of parts.slice(0, MOST_TOKENS)) {
    const row = element("li");
    row.append(element("bdi", "", readable(token.surface)));
    row.append(element("span", "value", `${number(token.cross_entropy)} ${unit}`));
    list.append(row);
  }
  const left = parts.length - MOST_TOKENS;
  if (left > 0) list.append(element("li", "", `and ${left} more`));
  return list;
}

function fact(list, name, value) {
  list.append(element("dt", "", name), element("dd", "", value));
}

function expected(found, part) {
  const list = element("ul", "expected");
  const most = Math.exp(found[0].logprob);
  for (const one of found) {
    const row = element("li", one.id === part.id ? "same" : "");
    const bar = element("span", "bar-fill");
    bar.style.width = `${(Math.exp(one.logprob) / most) * 100}%`;
    row.append(bar, element("bdi", "", named(one)), element("span", "value", percent(Math.exp(one.logprob))));
    list.append(row);
  }
  return list;
}

/** Under the word, or above it where there is no room. */
function place(word) {
  const { width, height } = card.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - MARGIN;
  const under = word.bottom + MARGIN;
  const fits = under + height <= window.innerHeight;
  card.style.left = `${Math.max(MARGIN, Math.min(word.left, room))}px`;
  card.style.top = `${fits ? under : Math.max(MARGIN, word.top - height - MARGIN)}px`;
}
