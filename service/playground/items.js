// What is coloured as one. A model of whole words has one item a token. Of any other model an item
// is a word, or a token where the script puts no spaces between words; or always a token, which is
// never less than a character that a reader sees.
//
//     text      他在 Paris，you      tokens   他|在| Par|is|，|you
//     words     他|在|Paris|，|you   tokens   他|在|Par|is|，|you

const END = "<eos>";
// East Asian scripts share letters such as ー; other scripts share accents, which belong to no word.
const SHARED = ["Han", "Hiragana", "Katakana"];
const OWN = [
  ...["Bopomofo", "Yi", "Tangut", "Nushu", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"],
  ...["Javanese", "Balinese", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet"],
];
const classes = [...SHARED.map((name) => `\\p{scx=${name}}`), ...OWN.map((name) => `\\p{sc=${name}}`)];
const UNSPACED = `[${classes.join("")}]`;
// Letters, digits and what joins them: marks, joiners, soft hyphens, the low line of identifiers.
const FIRST = `(?!${UNSPACED})[\\p{L}\\p{N}_]`;
const NEXT = `(?!${UNSPACED})[\\p{L}\\p{N}_\\p{M}\\u00ad\\u200c\\u200d]`;
const WORD = new RegExp(`${FIRST}(?:${NEXT})*(?:['’]${FIRST}(?:${NEXT})*)*`, "gu");
const UNSPACED_LETTER = new RegExp(`(?=\\p{L})${UNSPACED}`, "gu");
const ENDS_UNSPACED = new RegExp(`(?:${UNSPACED}\\p{M}*|[^\\s\\p{L}\\p{M}\\p{N}])$`, "u");
const SHARE_UNSPACED = 0.1; // of the letters, from which a figure by white space says little
const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Whether so much of a text has no spaces between words that "a word" means nothing there. */
export function isUnspaced(text) {
  const unspaced = text.match(UNSPACED_LETTER)?.length ?? 0;
  return unspaced > 0 && unspaced >= SHARE_UNSPACED * (text.match(/\p{L}/gu)?.length ?? 0);
}

/** Whether a text ends in a script, or a mark, after which a word may follow without a space. */
export function endsUnspaced(text) {
  return ENDS_UNSPACED.test(text);
}

/**
 * The items of a result of `/score`, each with its tokens as `parts`; `points` are the code points
 * of its text, which `start` and `end` count. `by` is "words" or "tokens".
 */
export function items(result, points, by) {
  if (result.words === undefined) return result.tokens.map(single);
  const whole = clusters(result.tokens, points);
  return by === "tokens" ? whole : joined(whole, points);
}

function single(token) {
  return { ...token, parts: [token] };
}

function merged(left, right) {
  return {
    start: Math.min(left.start, right.start),
    end: Math.max(left.end, right.end),
    parts: [...left.parts, ...right.parts],
    oov: left.oov || right.oov,
    logprob: sum(left.logprob, right.logprob),
    cross_entropy: sum(left.cross_entropy, right.cross_entropy),
  };
}

function sum(left, right) {
  return left === null ? right : left + (right ?? 0);
}

function isEnd(item) {
  return item.parts[0].text === END;
}

/** Tokens; as one, those that share a character or stand inside of one that a reader sees. */
function clusters(tokens, points) {
  const starts = clusterStarts(points);
  const found = [];
  let end = 0; // of the last item
  for (const token of tokens) {
    const last = found.at(-1);
    const apart = last === undefined || isEnd(last) || token.text === END;
    if (apart || (token.start >= end && starts.has(token.start))) found.push(trimmed(single(token), points));
    else found[found.length - 1] = trimmed(merged(last, single(token)), points);
    end = token.end;
  }
  return found;
}

/** Where characters begin, as a reader counts them: a letter with its marks, a joined emoji. */
function clusterStarts(points) {
  const found = new Set();
  const text = points.join("");
  if (!segmenter) return new Set(points.keys());
  let point = 0;
  for (const { segment } of segmenter.segment(text)) {
    found.add(point);
    for (const _ of segment) point += 1;
  }
  return found.add(point);
}

/** An item without the white space that its first token begins with, unless that is all of it. */
function trimmed(item, points) {
  let start = item.start;
  while (start < item.end && isSpace(points[start])) start += 1;
  return start === item.end ? item : { ...item, start };
}

function isSpace(character) {
  return /^\s$/u.test(character);
}

/** Items joined to words; white space goes with the word that follows, or ends the line. */
function joined(whole, points) {
  const wordAt = words(points);
  const found = [];
  let space = null;
  let open = 0; // the word of the last item, which the next one may belong to
  const close = () => {
    const last = found.at(-1);
    if (space && last && !isEnd(last)) found[found.length - 1] = { ...merged(last, space), end: last.end };
    else if (space) found.push(space);
    space = null;
  };
  for (const item of whole) {
    const word = isEnd(item) ? 0 : wordAt[item.start];
    if (isEnd(item)) close();
    else if (isSpace(points[item.start])) {
      space = space ? merged(space, item) : item;
      open = 0;
      continue;
    }
    if (word && word === open) found[found.length - 1] = merged(found.at(-1), item);
    else found.push(space ? { ...merged(space, item), start: item.start } : item);
    space = null;
    open = word;
  }
  close();
  return found;
}

/** Of each code point the number of its word, from 1 on; 0 outside of words. */
function words(points) {
  const found = new Uint32Array(points.length);
  const text = points.join("");
  let at = 0;
  let unit = 0;
  let count = 0;
  for (const match of text.matchAll(WORD)) {
    count += 1;
    for (; unit < match.index; at += 1) unit += points[at].length;
    for (const end = match.index + match[0].length; unit < end; at += 1) {
      found[at] = count;
      unit += points[at].length;
    }
  }
  return found;
}
