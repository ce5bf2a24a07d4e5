/** Lines of little curves, as SVG paths; gaps stay gaps. */

/** Lowest and highest known value with a little room; null when nothing is known. */
export function bounds(values: readonly (number | null)[]): [number, number] | null {
  let lo = Infinity;
  let hi = -Infinity;
  for (const v of values) {
    if (v === null) continue;
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  }
  if (lo === Infinity) return null;
  if (hi - lo < Math.max(1e-9, Math.abs(hi) * 0.02))
    return [Math.min(0, lo) === lo ? lo : lo * 0.9, hi === 0 ? 1 : hi * 1.1];
  return [lo * 0.92, hi * 1.06];
}

/** A line through `width` × `height`, and the area below it. */
export function curve(
  values: readonly (number | null)[],
  width: number,
  height: number,
): { line: string; area: string } {
  const b = bounds(values);
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
    const y = height - ((v - lo) / (hi - lo || 1)) * height;
    const to = `${start === null ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (start === null) start = x;
    line += to;
    area += to;
  });
  close();
  return { line, area };
}
