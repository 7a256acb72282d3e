// SVG paths and axis ticks of the curve.

const SVG = "http://www.w3.org/2000/svg";
export const HEIGHT = 100; // of the drawing, in its own units

export function createPath(className, d) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", className);
  path.setAttribute("d", d);
  path.setAttribute("vector-effect", "non-scaling-stroke");
  return path;
}

/** The y coordinate of a value on an axis from 0 to `max`. */
export function toY(value, max) {
  return Number((HEIGHT * (1 - value / max)).toFixed(2));
}

/** The line through all values, with a gap at each null. */
export function linePath(values, max) {
  const segments = [];
  let command = "M";
  values.forEach((value, index) => {
    if (value === null) {
      command = "M";
      return;
    }
    segments.push(`${command}${index + 0.5} ${toY(value, max).toFixed(2)}`);
    command = "L";
  });
  return segments.join("");
}

/** The mean of each value and up to `window` − 1 values before it. */
export function runningMeans(values, window) {
  const means = [];
  let sum = 0;
  values.forEach((value, index) => {
    sum += value ?? 0;
    if (index >= window) sum -= values[index - window] ?? 0;
    means.push(sum / Math.min(index + 1, window));
  });
  return means;
}

/** Round numbers from 0 to `max`, about `count` of them. */
export function roundTicks(max, count) {
  const minStep = max / count;
  const magnitude = 10 ** Math.floor(Math.log10(minStep));
  const step = [1, 2, 5, 10].find((factor) => factor * magnitude >= minStep) * magnitude;
  const ticks = [];
  for (let index = 0; index * step <= max; index += 1) ticks.push(Number((index * step).toPrecision(12)));
  return ticks;
}
