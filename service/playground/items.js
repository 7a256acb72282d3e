// Items: the units of a text that are coloured. With a word model each token is an item. With any
// other model an item is a word, or a token where the script has no spaces between words. The reader
// can also choose tokens everywhere. An item is never less than a visible character.
//
//     text      他在 Paris，you      tokens   他|在| Par|is|，|you
//     words     他|在|Paris|，|you   tokens   他|在|Par|is|，|you

const END = "<eos>";
// East Asian scripts share letters such as ー, so that script extensions (scx) identify them. Other
// scripts share only accents, which are not part of words.
const EAST_ASIAN = ["Han", "Hiragana", "Katakana"];
const OTHER_UNSPACED = [
  ...["Bopomofo", "Yi", "Tangut", "Nushu", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"],
  ...["Javanese", "Balinese", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet"],
];
const classes = [
  ...EAST_ASIAN.map((name) => `\\p{scx=${name}}`),
  ...OTHER_UNSPACED.map((name) => `\\p{sc=${name}}`),
];
const UNSPACED = `[${classes.join("")}]`;
// Letters and digits, and after the first one also marks, joiners, soft hyphens and underscores.
const FIRST = `(?!${UNSPACED})[\\p{L}\\p{N}_]`;
const NEXT = `(?!${UNSPACED})[\\p{L}\\p{N}_\\p{M}\\u00ad\\u200c\\u200d]`;
const WORD = new RegExp(`${FIRST}(?:${NEXT})*(?:['’]${FIRST}(?:${NEXT})*)*`, "gu");
const UNSPACED_LETTER = new RegExp(`(?=\\p{L})${UNSPACED}`, "gu");
const ENDS_UNSPACED = new RegExp(`(?:${UNSPACED}\\p{M}*|[^\\s\\p{L}\\p{M}\\p{N}])$`, "u");
const MIN_UNSPACED_SHARE = 0.1; // of the letters
const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Whether values per word mean little, because a share of the letters is in unspaced scripts. */
export function isUnspaced(text) {
  const unspaced = text.match(UNSPACED_LETTER)?.length ?? 0;
  return unspaced > 0 && unspaced >= MIN_UNSPACED_SHARE * (text.match(/\p{L}/gu)?.length ?? 0);
}

/** Whether a word may follow `text` without a space: after an unspaced script or punctuation. */
export function endsUnspaced(text) {
  return ENDS_UNSPACED.test(text);
}

/**
 * The items of a result of `/score`, each with its tokens as `parts`. `points` are the code points
 * of the text, which `start` and `end` count. `by` is "words" or "tokens".
 */
export function toItems(result, points, by) {
  if (result.words === undefined) return result.tokens.map(toItem);
  const clusters = toClusters(result.tokens, points);
  return by === "tokens" ? clusters : joinWords(clusters, points);
}

function toItem(token) {
  return { ...token, parts: [token] };
}

function merge(left, right) {
  return {
    start: Math.min(left.start, right.start),
    end: Math.max(left.end, right.end),
    parts: [...left.parts, ...right.parts],
    oov: left.oov || right.oov,
    logprob: add(left.logprob, right.logprob),
    cross_entropy: add(left.cross_entropy, right.cross_entropy),
  };
}

function add(left, right) {
  return left === null ? right : left + (right ?? 0);
}

function isEnd(item) {
  return item.parts[0].text === END;
}

/** One item per token, but tokens that are parts of one visible character are merged. */
function toClusters(tokens, points) {
  const starts = graphemeStarts(points);
  const clusters = [];
  let end = 0; // of the last item
  for (const token of tokens) {
    const last = clusters.at(-1);
    const isApart = last === undefined || isEnd(last) || token.text === END;
    if (isApart || (token.start >= end && starts.has(token.start))) {
      clusters.push(trimStart(toItem(token), points));
    } else {
      clusters[clusters.length - 1] = trimStart(merge(last, toItem(token)), points);
    }
    end = token.end;
  }
  return clusters;
}

/** The code points at which visible characters start: a letter with its marks, a joined emoji. */
function graphemeStarts(points) {
  if (!segmenter) return new Set(points.keys());
  const starts = new Set();
  let point = 0;
  for (const { segment } of segmenter.segment(points.join(""))) {
    starts.add(point);
    for (const _ of segment) point += 1;
  }
  return starts.add(point);
}

/** Removes leading white space from the span of an item, unless the item is only white space. */
function trimStart(item, points) {
  let start = item.start;
  while (start < item.end && isSpace(points[start])) start += 1;
  return start === item.end ? item : { ...item, start };
}

function isSpace(character) {
  return /^\s$/u.test(character);
}

/** Joins items to words. White space counts for the word after it, or else ends the line. */
function joinWords(clusters, points) {
  const wordNumbers = numberWords(points);
  const items = [];
  let space = null;
  let lastWord = 0; // the word number of the last item
  const closeSpace = () => {
    const last = items.at(-1);
    if (space && last && !isEnd(last)) items[items.length - 1] = { ...merge(last, space), end: last.end };
    else if (space) items.push(space);
    space = null;
  };
  for (const item of clusters) {
    const word = isEnd(item) ? 0 : wordNumbers[item.start];
    if (isEnd(item)) closeSpace();
    else if (isSpace(points[item.start])) {
      space = space ? merge(space, item) : item;
      lastWord = 0;
      continue;
    }
    if (word && word === lastWord) items[items.length - 1] = merge(items.at(-1), item);
    else items.push(space ? { ...merge(space, item), start: item.start } : item);
    space = null;
    lastWord = word;
  }
  closeSpace();
  return items;
}

/** For each code point the number of its word, from 1; 0 outside of words. */
function numberWords(points) {
  const numbers = new Uint32Array(points.length);
  let point = 0;
  let unit = 0; // UTF-16 code units, which the matches count
  let count = 0;
  for (const match of points.join("").matchAll(WORD)) {
    count += 1;
    for (; unit < match.index; point += 1) unit += points[point].length;
    for (const end = match.index + match[0].length; unit < end; point += 1) {
      numbers[point] = count;
      unit += points[point].length;
    }
  }
  return numbers;
}
