/** Lines of little curves, as SVG paths; gaps stay gaps. */

/** A curve spans at least this part of its highest value, so that noise stays small beside what it is noise of. */
const LEAST_PART = 0.3;

/**
 * What the height of the curve stands for: from its lowest to its highest known value with a little room, and no less than `least`;
 * null when nothing is known.
 */
export function bounds(values: readonly (number | null)[], least: number): [number, number] | null {
  let lo = Infinity;
  let hi = -Infinity;
  for (const v of values) {
    if (v === null) continue;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  }
  if (lo === Infinity) return null;
  const span = Math.max((hi - lo) * 1.15, least, Math.abs(hi) * LEAST_PART);
  // Figures are not below zero, so what is near it stands near the foot.
  const from = Math.max(Math.min(lo, 0), (lo + hi - span) / 2);
  return [from, from + span];
}

/** A line through `width` × `height`, and the area below it. */
export function curve(
  values: readonly (number | null)[],
  width: number,
  height: number,
  least: number,
): { line: string; area: string } {
  const b = bounds(values, least);
  if (b === null || values.length < 2) return { line: '', area: '' };
  const [lo, hi] = b;
  let line = '';
  let area = '';
  let start: number | null = null;
  let x = 0;
  const close = () => {
    if (start !== null) area += `L${x.toFixed(1)} ${height}L${start.toFixed(1)} ${height}Z`;
    start = null;
  };
  values.forEach((v, i) => {
    if (v === null) return close();
    x = (i / (values.length - 1)) * width;
    const y = height - ((v - lo) / (hi - lo)) * height;
    const to = `${start === null ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (start === null) start = x;
    line += to;
    area += to;
  });
  close();
  return { line, area };
}
