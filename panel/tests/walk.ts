/**
 * Walks through the panel in Chromium.
 *
 * `npm run walk` does it on fake nodes, which it also kills. `npm run walk -- --base http://HOST:8000/panel/ --key KEY` does
 * what harms nothing on a real cluster. `--only WORDS` chooses checks.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { start } from '../dev/fake-node';
import { KEY } from '../dev/fake/rest';
import { launch, settled } from './browser';
import { check, ensure, runAll, same } from './check';

const { values: args } = parseArgs({
  options: { base: { type: 'string' }, key: { type: 'string', default: KEY }, only: { type: 'string', default: '' } },
});
const PORTS = [8310, 8311, 8312];
const SUB = '/some/where/';
const fake = args.base === undefined ? start(PORTS, 40, 120, SUB) : null;
const base = args.base ?? `http://127.0.0.1:${PORTS[0]}${SUB}panel/`;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['overview', 'hosts', 'engines', 'streams', 'vpn', 'logs', 'events', 'cluster', 'settings'];
const browser = await launch();

interface Options {
  theme?: string;
  lang?: string;
  width?: number;
  height?: number;
  key?: string | null;
}

/** A page of its own; errors of the page are collected. */
async function open(
  hash: string,
  o: Options = {},
): Promise<{ page: Page; errors: string[]; done: () => Promise<void> }> {
  const context = await browser.newContext({
    viewport: { width: o.width ?? 1440, height: o.height ?? 900 },
    reducedMotion: 'reduce',
  });
  const key = o.key === undefined ? args.key : o.key;
  await context.addInitScript(
    `try { localStorage.setItem('acefleet.theme', '${o.theme ?? 'dark'}'); localStorage.setItem('acefleet.lang', '${o.lang ?? 'en'}'); ${key === null ? '' : `sessionStorage.setItem('acefleet.key', '${key}')`} } catch {}`,
  );
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (e) => errors.push(e.message));
  page.on('console', (m) => m.type() === 'error' && !m.text().includes('404') && errors.push(m.text()));
  await page.goto(`${base}#/${hash}`);
  await settled(page);
  return { page, errors, done: () => context.close() };
}

async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const run = (
      window as unknown as {
        axe: {
          run: (
            o: object,
          ) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
        };
      }
    ).axe;
    const r = await run.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
    return r.violations.map(
      (v) =>
        `${v.id}: ${v.nodes
          .slice(0, 2)
          .map((n) => `${n.html.slice(0, 160)} ${n.failureSummary.split('\n').slice(0, 3).join(' ')}`)
          .join(' | ')}`,
    );
  });
}

for (const p of PAGES) {
  for (const theme of ['dark', 'light']) {
    check(`${p} is sound, ${theme}`, async () => {
      const { page, errors, done } = await open(p, { theme, lang: theme === 'dark' ? 'en' : 'es' });
      ensure((await page.locator('main h1').count()) === 1, 'no heading');
      const found = await axe(page);
      same(errors, [], 'errors of the page');
      same(found, [], 'axe');
      await done();
    });
  }
  check(`${p} fits 360 px`, async () => {
    const { page, errors, done } = await open(p, { width: 360, height: 740 });
    const over = await page.evaluate(() => [
      document.documentElement.scrollWidth - innerWidth,
      (document.querySelector('main')?.scrollWidth ?? 0) - (document.querySelector('main')?.clientWidth ?? 0),
    ]);
    ensure(
      over.every((x) => x <= 0),
      `it is wider than the screen by ${over.join(' and ')} px`,
    );
    same(await axe(page), [], 'axe');
    same(errors, [], 'errors of the page');
    await done();
  });
}

check('nothing but the keyboard is needed', async () => {
  const { page, done } = await open('overview');
  await page.keyboard.press('Tab');
  same(await page.evaluate(() => document.activeElement?.className), 'skip', 'the first stop');
  await page.keyboard.press('g');
  await page.keyboard.press('e');
  await page.waitForSelector('.t-eng [role=row][data-at]');
  await page.keyboard.press('j');
  const first = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
  await page.keyboard.press('j');
  const second = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
  ensure(first && second && first !== second, `j moves focus: ${first}, ${second}`);
  same(await page.locator('.t-eng [tabindex="0"]').count(), 1, 'tab stops of the table');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.sheet');
  same(await axe(page), [], 'axe of the sheet');
  const before = await page.locator('.sheet h2').textContent();
  await page.keyboard.press('j');
  await page.waitForFunction((b) => document.querySelector('.sheet h2')?.textContent !== b, before);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.sheet', { state: 'detached' });
  ensure(await page.evaluate(() => document.activeElement?.getAttribute('role') === 'row'), 'focus is back on a row');
  await page.keyboard.press('End');
  ensure(
    Number(await page.evaluate(() => document.activeElement?.getAttribute('data-at'))) > 0,
    'End goes to the last row',
  );
  await page.keyboard.press('/');
  await page.keyboard.type('node-b');
  await page.waitForFunction(() => location.hash.includes('q=node-b'));
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open] .keys');
  same(await axe(page), [], 'axe of the map of keys');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog[open].pal');
  same(await axe(page), [], 'axe of the palette');
  await page.keyboard.type('cluster');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash.startsWith('#/cluster'));
  await done();
});

check('a stream shows its curve', async () => {
  const { page, errors, done } = await open('streams');
  await page.locator('.t-str [role=row][data-at="0"]').click();
  await page.waitForSelector('.sheet canvas');
  await page.locator('.plot').focus();
  const now = await page.locator('.leg').textContent();
  for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowLeft');
  await page.waitForFunction((n) => document.querySelector('.leg')?.textContent !== n, now);
  same(await axe(page), [], 'axe');
  same(errors, [], 'errors of the page');
  await done();
});

check('the wall screen shows the overview alone', async () => {
  const { page, done } = await open('overview');
  await page.keyboard.press('w');
  ensure(await page.locator('.rail').isHidden(), 'the rail is gone');
  await page.keyboard.press('Escape');
  ensure(await page.locator('.rail').isVisible(), 'the rail is back');
  await done();
});

if (fake !== null) {
  const { fleet, servers } = fake;

  check('the key is asked for once, and a wrong one is refused', async () => {
    const { page, done } = await open('hosts', { key: null });
    await page.locator('.host').nth(1).getByRole('button', { name: 'Cordon' }).click();
    await page.waitForSelector('dialog[open] input[type=password]');
    same(await axe(page), [], 'axe');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open] [role=alert]');
    await page.locator('input[type=password]').fill(KEY);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.toast');
    ensure(!page.url().includes(KEY), 'the key is in no address');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() => document.body.textContent?.includes('Undone.'));
    same(fleet.node('node-b')?.availability, 'active', 'node-b');
    await done();
  });

  check('a stop says what it does, and does it', async () => {
    const { page, done } = await open('engines?q=acestream-5&sort=engine');
    const engine = fleet.world.engines.find((e) => e.container_name === 'acestream-5');
    await page.locator('.t-eng [role=row][data-at="0"]').click();
    await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).click();
    const dialog = page.locator('dialog[open]');
    ensure(
      (await dialog.textContent())?.includes(`${engine?.streams.length} streams end`),
      'the dialog counts the streams',
    );
    same(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Cancel', 'focus');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Stop engine' }).click();
    await page.waitForSelector('.toast');
    ensure(!fleet.world.engines.includes(engine as never), 'it is stopped');
    await page.waitForSelector('.sheet', { state: 'detached' });
    await done();
  });

  check('an engine is replaced, and its streams are counted', async () => {
    const engine = fleet.world.engines.find((e) => e.listed && e.phase === 'running' && e.streams.length > 0);
    const { page, done } = await open(`engines?sel=${engine?.id}`);
    await page.locator('.sheet').getByRole('button', { name: 'Replace…' }).click();
    const dialog = page.locator('dialog[open]');
    ensure((await dialog.textContent())?.includes(`${engine?.streams.length} stream`), 'the dialog counts the streams');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Replace engine' }).click();
    await page.waitForSelector('.toast');
    same(engine?.listed, false, 'it is listed');
    await page.locator('.sheet').getByRole('button', { name: 'Replace…' }).waitFor({ state: 'detached' });
    await done();
  });

  check('a member is let lead, and the strip of leaders says so', async () => {
    const { page, done } = await open('cluster');
    await page.getByRole('button', { name: 'Let it lead' }).first().click();
    await page.waitForSelector('.toast');
    same(fleet.leader, 'node-a', 'the leader');
    await page.waitForFunction(() =>
      document.querySelector('.steps')?.textContent?.includes('node-a leads since term 15'),
    );
    same(await axe(page), [], 'axe');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() =>
      document.querySelector('.steps')?.textContent?.includes('node-b leads since term 16'),
    );
    same(fleet.leader, 'node-b', 'the leader');
    await done();
  });

  check('a change of settings is shown before it is made', async () => {
    const { page, done } = await open('settings');
    await page.locator('#MIN_FREE_REPLICAS').fill('3');
    await page.waitForSelector('.review .diff .a');
    await page.waitForFunction(() => document.querySelector('.review')?.textContent?.includes('engines are started'));
    same(await axe(page), [], 'axe');
    await page.getByRole('button', { name: /^Apply/ }).click();
    await page.waitForSelector('.toast');
    same(fleet.world.settings['MIN_FREE_REPLICAS'], 3, 'the setting');
    await done();
  });

  check('logs of two hosts are merged', async () => {
    const [a, b] = [fleet.world.engines[0], fleet.world.engines.at(-1)];
    const { page, done } = await open(`logs?c=${a?.container_id}&c=${b?.container_id}`);
    await page.waitForFunction(() => document.querySelectorAll('.ln').length > 100);
    await page.locator('.lq').fill('timed out');
    await page.waitForSelector('mark');
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -600);
    await page.waitForSelector('.jump');
    same(await axe(page), [], 'axe');
    await done();
  });

  check('without a leader nothing can be changed, and it says so', async () => {
    const { page, done } = await open('hosts');
    const y = await page.evaluate(() => document.querySelector('main h1')?.getBoundingClientRect().top);
    fleet.setLeader(null);
    await page.waitForSelector('.top.bad');
    const button = page.getByRole('button', { name: 'Cordon' }).first();
    same(await button.getAttribute('aria-disabled'), 'true', 'the button');
    same(
      await page.evaluate(() => document.querySelector('main h1')?.getBoundingClientRect().top),
      y,
      'the title keeps its place',
    );
    same(await axe(page), [], 'axe');
    fleet.setLeader('node-b');
    await page.waitForSelector('.top.bad', { state: 'detached' });
    await done();
  });

  check('an event is on the screen with the next picture', async () => {
    const { page, done } = await open('events');
    const from = performance.now();
    fleet.startEngine('node-b', null);
    await page.waitForFunction(
      () => document.querySelector('.ev')?.textContent?.includes('runs on node-b'),
      undefined,
      { polling: 10 },
    );
    await done();
    return `${Math.round(performance.now() - from)} ms`;
  });

  check('a node that hangs is left, and filters stay', async () => {
    const { page, done } = await open('engines?host=node-b&sort=-cpu');
    fleet.mute = true;
    await page.waitForSelector('.top.warn', { timeout: 4000 });
    fleet.mute = false;
    await page.waitForFunction(
      () =>
        document.querySelector('.live .mut')?.textContent === 'node-b' && document.querySelector('.live.warn') === null,
      undefined,
      { timeout: 4000 },
    );
    ensure(page.url().includes('host=node-b') && page.url().includes('sort=-cpu'), 'filters are kept');
    same(await axe(page), [], 'axe');
    await done();
  });

  check('the node that serves the page dies', async () => {
    const { page, done } = await open('engines?sel=8');
    const from = performance.now();
    servers[0]?.close();
    servers[0]?.closeAllConnections();
    await page.waitForFunction(
      () =>
        !['', 'node-a'].includes(document.querySelector('.live .mut')?.textContent ?? '') &&
        document.querySelector('.live.warn') === null,
      undefined,
      { timeout: 5000, polling: 20 },
    );
    const took = performance.now() - from;
    ensure(took < 3000, `it took ${Math.round(took)} ms`);
    ensure(await page.locator('.sheet').isVisible(), 'the sheet is still open');
    await page.evaluate(() => (location.hash = '#/events'));
    await page.waitForSelector('.ev');
    fleet.startEngine('node-c', null);
    await page.waitForSelector('.res');
    same(await axe(page), [], 'axe');
    await done();
    return `live again after ${Math.round(took)} ms`;
  });
}

const failed = await runAll(args.only);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
