/**
 * The walk of a new user, from `make run` to a stopped stream, in ten pictures for `docs/FIRST_STREAM.md`:
 * `tsx tests/first.ts --base http://127.0.0.1:8000/ --key KEY --terminal FILE --player 'COMMAND' --out FOLDER`.
 *
 * The node at `--base` has no engine yet. The file holds what `make run` printed. The command plays one stream through an
 * Acexy that asks this node, for longer than the walk takes; it is ended with the walk.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { check, ensure, runAll, same } from './check';
import { launch, settled } from './browser';
import { confirm, live } from './real/screen';

const { values: args } = parseArgs({
  options: {
    base: { type: 'string', default: 'http://127.0.0.1:8000/' },
    key: { type: 'string', default: '' },
    terminal: { type: 'string', default: '' },
    player: { type: 'string', default: '' },
    out: { type: 'string', default: '../docs/images' },
  },
});
ensure(args.key !== '' && args.terminal !== '' && args.player !== '', 'give --key, --terminal and --player');
mkdirSync(args.out, { recursive: true });
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1120, height: 700 }, reducedMotion: 'reduce' });
const page = await context.newPage();
const errors: string[] = [];
page.on('pageerror', (e) => errors.push(e.message));
// A stream has no series at first.
page.on('console', (m) => m.type() === 'error' && !/404/.test(m.text()) && errors.push(m.text()));

let taken = 0;
async function picture(name: string): Promise<void> {
  taken += 1;
  await page.screenshot({ path: `${args.out}/first-${String(taken).padStart(2, '0')}-${name}.png` });
}

const dialog = () => page.locator('dialog[open]');
const go = async (hash: string) => {
  await page.goto(`${args.base}panel/#/${hash}`);
  await settled(page);
};

check('make run says where the panel is, and the key', async () => {
  const said = readFileSync(args.terminal, 'utf8');
  ensure(said.includes('/panel/') && said.includes(args.key), 'the terminal names neither the panel nor the key');
  await page.setContent(
    '<body style="margin:0;background:#101418"><pre style="margin:0;padding:20px;color:#d7dde3;font:13px/1.5 monospace;white-space:pre-wrap;overflow-wrap:anywhere"></pre></body>',
  );
  await page.locator('pre').evaluate((pre, text) => (pre.textContent = text), said);
  await picture('make-run');
});

check('the bare address leads to the panel, which says what comes next', async () => {
  await page.goto(args.base);
  await settled(page);
  ensure(page.url().includes('/panel/'), page.url());
  await page.waitForSelector('.emp');
  await picture('empty');
});

check('a start asks for the key', async () => {
  await page.getByRole('button', { name: 'Start engine' }).first().click();
  await page.waitForSelector('dialog[open] input[type=password]');
  await page.locator('input[type=password]').fill(args.key);
  await picture('key');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.toast', { timeout: 60_000 });
});

check('the engine is there', async () => {
  await go('engines');
  await page.waitForSelector('.t-eng [role=row][data-at="0"]');
  await page.waitForFunction(() => document.querySelector('.t-eng [data-at="0"]')?.textContent?.includes('ealthy'));
  await picture('engine');
  await page.locator('.t-eng [role=row][data-at="0"]').click();
  await page.waitForSelector('.sheet');
  await page.waitForTimeout(1500);
  await picture('engine-sheet');
});

let player: ChildProcess | undefined;

check('a stream plays', async () => {
  player = spawn('sh', ['-c', `exec ${args.player}`], { stdio: 'ignore' });
  await go('streams');
  await page.locator('.t-str [role=row][data-at="0"]').waitFor();
  // A curve needs some figures.
  await page.waitForTimeout(40_000);
  await picture('streams');
  await page.locator('.t-str [role=row][data-at="0"]').click();
  await page.waitForSelector('.sheet canvas');
  await page.waitForTimeout(1500);
  await picture('stream-sheet');
});

check('it is stopped', async () => {
  await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).click();
  await dialog().waitFor();
  await picture('stop');
  await confirm(page, 'Stop stream');
  await go('streams?view=ended');
  await page.locator('.t-end [role=row][data-at="0"]').waitFor();
  await picture('ended');
});

check('the log says who did it', async () => {
  await go('events');
  await page.getByText('ended', { exact: false }).first().waitFor();
  await picture('events');
  await live(page);
  same(errors, [], 'errors of the page');
  same(taken, 10, 'pictures');
});

const failed = await runAll('');
player?.kill();
await browser.close();
process.exit(failed === 0 ? 0 : 1);
