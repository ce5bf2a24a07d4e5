/**
 * Takes screenshots of pages: `tsx tests/shots.ts BASE OUT [page…]`, each in both themes, on a phone, on a wall screen, at zooms
 * of 200 % and 400 % of 1280 px, and in forced colours.
 */
import { mkdirSync } from 'node:fs';
import { launch, settled } from './browser';

const [base = 'http://127.0.0.1:8100/panel/', out = 'shots', ...pages] = process.argv.slice(2);
const all =
  pages.length > 0
    ? pages
    : ['overview', 'hosts', 'engines', 'streams', 'vpn', 'logs', 'events', 'cluster', 'settings'];
mkdirSync(out, { recursive: true });
const browser = await launch();
for (const [name, width, height, theme] of [
  ['dark', 1440, 900, 'dark'],
  ['light', 1440, 900, 'light'],
  ['phone', 360, 740, 'dark'],
  ['wide', 2560, 1300, 'dark'],
  ['zoom200', 640, 450, 'light'],
  ['zoom400', 320, 256, 'light'],
  ['forced', 1440, 900, 'dark'],
] as const) {
  const context = await browser.newContext({
    viewport: { width, height },
    forcedColors: name === 'forced' ? 'active' : 'none',
  });
  await context.addInitScript(
    `try { localStorage.setItem('acefleet.theme', '${theme}'); sessionStorage.setItem('acefleet.key', '${process.env.PANEL_KEY ?? 'fake-key-of-the-panel'}') } catch {}`,
  );
  const page = await context.newPage();
  page.on('pageerror', (e) => console.log('page error', e.message));
  page.on('console', (m) => m.type() === 'error' && console.log('console', m.text()));
  for (const p of all) {
    await page.goto('about:blank');
    await page.goto(`${base}#/${p}`);
    await settled(page);
    await page.screenshot({ path: `${out}/${p.replace(/\W+/g, '_')}-${name}.png` });
  }
  await context.close();
}
await browser.close();
