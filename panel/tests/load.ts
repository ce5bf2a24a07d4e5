/**
 * Measures a page under load: `tsx tests/load.ts [SECONDS] [PAGE] [EVERY]`, 200 engines and 2,000 streams, 10 changes a second.
 * Shows the work of frames, frames that were missed, memory, and times of changes until they are drawn.
 *
 * With EVERY, and from ten minutes on, it shows all but the last each EVERY seconds (300), with the work of the 20 s before. Memory
 * grows for ten minutes: then the fake cluster has as many ended streams, and the panel as many events, as they ever keep.
 */
import type { Page } from 'playwright-core';
import { freePorts, start, type Fake } from '../dev/fake-node';
import { launch, settled } from './browser';
import { Histogram } from './load/histogram';
import { count, taken } from './load/intervals';
import { memory, said } from './load/memory';
import { Work } from './load/work';

const [seconds = '30', hash = 'streams', every] = process.argv.slice(2);
const LONG_S = 600;
const EVERY_S = 300;
/** Longer traces fill Chromium's buffer. */
const SLICE_MS = 10_000;
/** Warms the page and the tracing up, so that the first figures of memory are comparable. */
const WARM_MS = 5_000;

const port = (await freePorts(1))[0] as number;
const { fleet } = start([port], 200, 2000);
const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
await page.goto(`http://127.0.0.1:${port}/panel/#/${hash}`);
await settled(page);
const client = await page.context().newCDPSession(page);
await count(page);
const stop = load(page, fleet);
const warm = await Work.of(browser);
await warm.slice(WARM_MS);
const pid = warm.pid as number;
await taken(page);

if (every !== undefined || Number(seconds) >= LONG_S) await long(Number(every ?? EVERY_S));
else await short();
stop();
console.log(`change to screen: ${await changes(page, fleet)}`);
await browser.close();
process.exit(0);

/** Changes ten times a second, and a hand that scrolls down and up again. */
function load(page: Page, fleet: Fake['fleet']): () => void {
  let turns = 0;
  const timers = [
    setInterval(() => fleet.live(), 100),
    setInterval(() => void page.mouse.wheel(0, turns++ % 40 < 20 ? 400 : -400), 700),
  ];
  void page.mouse.move(700, 500);
  return () => timers.forEach(clearInterval);
}

async function short(): Promise<void> {
  const work = await Work.of(browser);
  console.log(`before: ${said(await memory(client, pid))}`);
  await taken(page);
  for (let left = Number(seconds) * 1000; left > 0; left -= SLICE_MS) await work.slice(Math.min(left, SLICE_MS));
  await frames(work);
  console.log(`${await page.locator('.tr').count()} rows drawn`);
  console.log(`after: ${said(await memory(client, pid))}`);
}

async function long(every: number): Promise<void> {
  const from = Date.now();
  const row = async () => {
    console.log(`${((Date.now() - from) / 60_000).toFixed(1)} min: ${said(await memory(client, pid))}`);
    // The collection of garbage is no work of the page.
    await taken(page);
  };
  await row();
  for (let at = every; at <= Number(seconds); at += every) {
    await new Promise((r) => setTimeout(r, from + at * 1000 - 2 * SLICE_MS - Date.now()));
    const work = await Work.of(browser);
    for (let i = 0; i < 2; i++) await work.slice(SLICE_MS);
    await frames(work);
    await row();
  }
}

async function frames(work: Work): Promise<void> {
  const { between, missed, longTasks, longest } = await taken(page);
  const share = (n: number, of: number) => `${((100 * n) / of).toFixed(2)} %`;
  console.log(
    [
      `work of ${work.wall.count} frames on the main thread: ${work.wall}; ${share(work.wall.above(16), work.wall.count)} above 16 ms`,
      `  on a processor: ${work.cpu}`,
      `from frame to frame, ${between.count} times: ${between}; ${share(missed, 1)} of frames missed`,
      `long tasks: ${longTasks}, the longest ${longest} ms`,
    ].join('\n'),
  );
}

/** From a change of the cluster until the page of events shows it. */
async function changes(page: Page, fleet: Fake['fleet']): Promise<Histogram> {
  const took = new Histogram();
  await page.goto(`http://127.0.0.1:${port}/panel/#/events`);
  await settled(page);
  for (let i = 0; i < 40; i++) {
    const from = performance.now();
    const e = fleet.startEngine('node-b', null);
    await page.waitForFunction((n) => document.querySelector('.ev')?.textContent?.includes(n ?? ''), e.container_name, {
      polling: 'raf',
    });
    took.add(performance.now() - from);
  }
  return took;
}
