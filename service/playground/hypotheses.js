// Hypotheses, one per line, each with an optional score before the text.

const SCORED_LINE = /^\s*([-+−]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(\s+)(\S.*)$/iu;
const UNSIGNED_INTEGER = /^\d+$/;

/**
 * Parses the lines that are not blank into {text, score}. A number and white space before the text
 * are its score. An unsigned integer is a score only before a tab, or if every line starts with a
 * number, because it may be a word: "3 men in a boat".
 */
export function parseHypotheses(text) {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const parsed = lines.map((line) => {
    const [, digits, space, rest] = SCORED_LINE.exec(line) ?? [];
    const score = Number(digits?.replace("−", "-"));
    if (digits === undefined || !Number.isFinite(score)) return { text: line };
    return { text: rest, score, isCertain: space.includes("\t") || !UNSIGNED_INTEGER.test(digits) };
  });
  const allScored = parsed.every(({ score }) => score !== undefined);
  return parsed.map(({ text: rest, score, isCertain }, index) => {
    if (score === undefined || !(isCertain || allScored)) return { text: lines[index] };
    return { text: rest, score };
  });
}

/** A sentence with the number of scores, because an unrecognised score changes the ranking. */
export function describeScores(hypotheses) {
  const lines = hypotheses.length;
  const scores = hypotheses.filter(({ score }) => score !== undefined).length;
  if (lines === 0) return "";
  if (scores === 0) return "No scores found: no line starts with a number, so only the model ranks.";
  if (scores === lines) return lines === 1 ? "Score found." : `Scores found on all ${lines} lines.`;
  return `Scores found on ${scores} of ${lines} lines; the other lines have score 0.`;
}
