// What may follow a text whose last piece may still grow: pieces that are longer than it, and the
// pieces that come after it. Both are told by what they add to the text, with their probabilities.
//
//     我们可以使      使 may grow to 使用 or 使命; else it is whole, and 他, 的 or 。 come next
//
//     P(用 is added) = P(使用) / M      P(他 is added) = P(使) / M · P(他 after 使)
//
// M is the probability of all pieces that begin with 使.

export const MOST = 200; // pieces that are asked for: what is beyond them is improbable

/** The longer spellings of `prefix` in an answer of `/next-token`, by what they add. */
export function longer(answer, prefix) {
  return answer.tokens.filter(
    (token) => token.surface.length > prefix.length && token.surface.startsWith(prefix),
  );
}

/** Whether something typed may still become another piece: with a space before it, or without. */
export function grows(answer, prefix) {
  return answer.tokens.some((token) => token.surface.trimStart() !== prefix.trimStart());
}

/** An answer without the pieces that begin with a space which was not typed. */
export function fitting(answer, prefix) {
  if (prefix === "" || prefix.startsWith(" ")) return answer;
  const tokens = answer.tokens.filter((token) => !token.surface.startsWith(" "));
  const kept = tokens.reduce((sum, token) => sum + token.probability, 0);
  return {
    ...answer,
    tokens: tokens.map((token) => ({ ...token, probability: token.probability / kept })),
    prefix_probability: answer.prefix_probability * kept,
  };
}

/**
 * The question that finds how the last piece of a text may grow: `context` before it and `prefix`;
 * null where it is no whole character. `tokens` are those of the last run, `run` its text.
 */
export function question(tokens, run) {
  const last = tokens.at(-1);
  if (last === undefined) return null;
  const points = Array.from(run); // offsets count code points
  const shared = tokens.some((token) => token !== last && token.end > last.start);
  if (shared || last.end !== points.length) return null;
  return { head: points.slice(0, last.start).join(""), prefix: points.slice(last.start).join("") };
}

/** Both kinds of continuation as {added, probability}, most probable first. */
export function continuations(grown, prefix, next) {
  const found = new Map();
  const add = (added, probability) => found.set(added, (found.get(added) ?? 0) + probability);
  const longerOnes = grown === null ? [] : longer(grown, prefix);
  // A space may stand before what begins so; in the middle of a run it does not.
  const whole = grown?.tokens.find((token) => token.surface === prefix)?.probability ?? 0;
  const mass = longerOnes.reduce((sum, token) => sum + token.probability, whole);
  const isWhole = longerOnes.length && mass > 0 ? whole / mass : 1;
  if (isWhole < 1) {
    for (const token of longerOnes) add(token.surface.slice(prefix.length), token.probability / mass);
  }
  for (const token of next.tokens) add(token.surface, isWhole * token.probability);
  return [...found]
    .map(([surface, probability]) => ({ surface, probability }))
    .sort((a, b) => b.probability - a.probability);
}
