/** How evenly the page comes to frames: counted in the page, in cells that are read out and cleared. */
import type { Page } from 'playwright-core';
import { Histogram } from './histogram';

const CELL_MS = 0.1;

export interface Intervals {
  /** From one animation frame to the next; never less than the screen's own interval. */
  between: Histogram;
  /** Pictures of the screen for which the page had no frame, as a share of all. */
  missed: number;
  longTasks: number;
  longest: number;
}

/** Text, because the runner of these files puts calls of its own into functions. */
const COUNT = `
  window.load = { cells: {}, long: 0, longest: 0 };
  let last = 0;
  requestAnimationFrame(function tick(now) {
    const i = Math.round((now - last) / ${CELL_MS});
    if (last > 0) window.load.cells[i] = (window.load.cells[i] ?? 0) + 1;
    last = now;
    requestAnimationFrame(tick);
  });
  new PerformanceObserver((l) =>
    l.getEntries().forEach((e) => {
      window.load.long++;
      window.load.longest = Math.max(window.load.longest, e.duration);
    }),
  ).observe({ type: 'longtask' });
`;
const TAKE = `(() => {
  const was = window.load;
  window.load = { cells: {}, long: 0, longest: 0 };
  return was;
})()`;

/** The page counts from now on. */
export const count = (page: Page): Promise<void> => page.evaluate(COUNT);

/** What was counted since the last time. */
export async function taken(page: Page): Promise<Intervals> {
  const r: { cells: Record<string, number>; long: number; longest: number } = await page.evaluate(TAKE);
  const between = new Histogram(CELL_MS);
  for (const [i, n] of Object.entries(r.cells)) between.add(Number(i) * CELL_MS, n);
  // The shortest ones, since on a busy machine half of the pictures may be missed.
  const screen = between.at(0.05);
  let missed = 0;
  for (const [i, n] of Object.entries(r.cells))
    missed += n * Math.max(0, Math.round((Number(i) * CELL_MS) / screen) - 1);
  return { between, missed: missed / (missed + between.count), longTasks: r.long, longest: r.longest };
}
