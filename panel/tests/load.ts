/**
 * Measures a page under load: `tsx tests/load.ts [SECONDS] [PAGE]`, 200 engines and 2,000 streams, 10 changes a second.
 * Shows the times of frames and of changes until they are drawn, and the memory before and after.
 */
import { start } from '../dev/fake-node';
import { launch, settled } from './browser';

const [seconds = '30', hash = 'streams'] = process.argv.slice(2);
const { fleet } = start([8340], 200, 2000);
const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
await page.goto(`http://127.0.0.1:8340/panel/#/${hash}`);
await settled(page);
const client = await page.context().newCDPSession(page);
const heap = async () => {
  await client.send('HeapProfiler.collectGarbage');
  return (await client.send('Runtime.getHeapUsage')).usedSize / 1048576;
};
await page.evaluate(`
  window.frames = [];
  window.long = [];
  let last = performance.now();
  (function tick(t) { if (t) { window.frames.push(t - last); last = t; } requestAnimationFrame(tick); })();
  new PerformanceObserver((l) => l.getEntries().forEach((e) => window.long.push(e.duration))).observe({ type: 'longtask' });
`);
const before = await heap();
const changes = setInterval(() => fleet.live(), 100);
const scroll = setInterval(() => void page.mouse.wheel(0, 400), 700);
await page.mouse.move(700, 500);
await page.waitForTimeout(Number(seconds) * 1000);
clearInterval(changes);
clearInterval(scroll);
const r = (await page.evaluate(
  `({ frames: window.frames, long: window.long, rows: document.querySelectorAll('.tr').length })`,
)) as {
  frames: number[];
  long: number[];
  rows: number;
};
const f = r.frames.slice(5).sort((a, b) => a - b);
const at = (q: number) => `${(f[Math.floor(f.length * q)] ?? 0).toFixed(1)} ms`;
console.log(
  `${f.length} frames: p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, worst ${f.at(-1)?.toFixed(1)} ms; ${r.long.length} long tasks, the longest ${Math.max(0, ...r.long)} ms; ${r.rows} rows drawn`,
);
console.log(`heap ${before.toFixed(1)} -> ${(await heap()).toFixed(1)} MiB`);
const took: number[] = [];
await page.goto(`http://127.0.0.1:8340/panel/#/events`);
await settled(page);
for (let i = 0; i < 40; i++) {
  const from = performance.now();
  const e = fleet.startEngine('node-b', null);
  await page.waitForFunction((n) => document.querySelector('.ev')?.textContent?.includes(n ?? ''), e.container_name, {
    polling: 'raf',
  });
  took.push(performance.now() - from);
}
took.sort((a, b) => a - b);
console.log(`change to screen: p50 ${Math.round(took[20] ?? 0)} ms, p99 ${Math.round(took.at(-1) ?? 0)} ms`);
await browser.close();
process.exit(0);
