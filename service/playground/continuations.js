// Continuations of a text whose last subword may still become a longer one. There are two kinds:
// the rest of a longer subword, and the next subword. Both have a surface and a probability.
//
//     我们可以使      使 may become 使用 or 使命; else it is complete, and 他, 的 or 。 follows
//
//     P(用 is added) = P(使用) / M      P(他 is added) = P(使) / M · P(他 after 使)
//
// M is the probability of all subwords that start with 使.

export const MAX_SUBWORDS = 200; // requested subwords: the others are improbable

/** Whether `prefix` may become another subword, with or without a space before it. */
export function mayGrow(response, prefix) {
  return response.tokens.some((token) => token.surface.trimStart() !== prefix.trimStart());
}

/** Removes the subwords that start with a space, unless `prefix` does. */
export function removeSpaced(response, prefix) {
  if (prefix === "" || prefix.startsWith(" ")) return response;
  const tokens = response.tokens.filter((token) => !token.surface.startsWith(" "));
  const mass = tokens.reduce((sum, token) => sum + token.probability, 0);
  return {
    ...response,
    tokens: tokens.map((token) => ({ ...token, probability: token.probability / mass })),
    prefix_probability: response.prefix_probability * mass,
  };
}

/**
 * Splits `pretoken` before its last token: {head, prefix}. Returns null if the last token is only a
 * part of a character. `tokens` are the scored tokens of `pretoken`.
 */
export function splitLastToken(tokens, pretoken) {
  const last = tokens.at(-1);
  if (last === undefined) return null;
  const points = Array.from(pretoken); // offsets count code points
  const sharesCharacter = tokens.some((token) => token !== last && token.end > last.start);
  if (sharesCharacter || last.end !== points.length) return null;
  return { head: points.slice(0, last.start).join(""), prefix: points.slice(last.start).join("") };
}

/**
 * Both kinds of continuations as {surface, probability}, most probable first. `grown` is the
 * response for `prefix` (or null), `next` the one for the whole text.
 */
export function continuations(grown, prefix, next) {
  const bySurface = new Map();
  const add = (surface, probability) => {
    bySurface.set(surface, (bySurface.get(surface) ?? 0) + probability);
  };
  const longer = grown === null ? [] : longerTokens(grown, prefix);
  // The prefix also matches subwords with a space before it, which cannot stand here.
  const same = grown?.tokens.find((token) => token.surface === prefix)?.probability ?? 0;
  const mass = longer.reduce((sum, token) => sum + token.probability, same);
  const completeProbability = longer.length && mass > 0 ? same / mass : 1;
  if (completeProbability < 1) {
    for (const token of longer) add(token.surface.slice(prefix.length), token.probability / mass);
  }
  for (const token of next.tokens) add(token.surface, completeProbability * token.probability);
  return [...bySurface]
    .map(([surface, probability]) => ({ surface, probability }))
    .sort((a, b) => b.probability - a.probability);
}

function longerTokens(response, prefix) {
  return response.tokens.filter(
    (token) => token.surface.length > prefix.length && token.surface.startsWith(prefix),
  );
}
