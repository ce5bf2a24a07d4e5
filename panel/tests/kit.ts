/** What walks through the panel share: a browser, pages of a site that is named by its address and key, and axe. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { settled } from './browser';

export { launch, settled } from './browser';
export { check, ensure, runAll, same } from './check';

export const PAGES = ['overview', 'hosts', 'engines', 'streams', 'vpn', 'logs', 'events', 'cluster', 'settings'];

export interface Site {
  /** Address of the panel, with a slash at its end. */
  base: string;
  /** Key of the cluster, as a tab keeps it. */
  key: string;
}

export interface Options {
  theme?: string;
  lang?: string;
  width?: number;
  height?: number;
  /** Null for a tab that has none; as the site says without it. */
  key?: string | null;
  /** Calm unless a check is about motion. */
  motion?: 'reduce' | 'no-preference';
  forcedColours?: boolean;
}

export interface Opened {
  page: Page;
  /** What the page complained about; answers 404 are left out. */
  errors: string[];
  done: () => Promise<void>;
}

/** Opens a page of the site by what follows `#/`, in a context of its own. */
export type Open = (hash: string, o?: Options) => Promise<Opened>;

/** What the page does not cause: objects that end while they are shown, and network interfaces of the machine that come and go. */
const EXPECTED = /404|net::ERR_NETWORK_CHANGED/;

/**
 * A time zone in which it is about noon, so that a walk at night sees the same times of today.
 *
 * Times of another day are shown with their day; a check that wants one asks for it.
 */
function noon(): string {
  const behind = new Date().getUTCHours() - 12;
  // The sign is turned round in these names.
  return `Etc/GMT${behind < 0 ? '' : '+'}${behind}`;
}

export function opener(browser: Browser, site: Site): Open {
  return async (hash, o = {}) => {
    const context = await browser.newContext({
      timezoneId: noon(),
      viewport: { width: o.width ?? 1440, height: o.height ?? 900 },
      reducedMotion: o.motion ?? 'reduce',
      forcedColors: o.forcedColours === true ? 'active' : 'none',
    });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const key = o.key === undefined ? site.key : o.key;
    await context.addInitScript(
      `try { localStorage.setItem('acefleet.theme', '${o.theme ?? 'dark'}'); localStorage.setItem('acefleet.lang', '${o.lang ?? 'en'}'); ${key === null ? '' : `sessionStorage.setItem('acefleet.key', '${key}')`} } catch {}`,
    );
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (e) => errors.push(e.message));
    page.on('console', (m) => m.type() === 'error' && !EXPECTED.test(m.text()) && errors.push(m.text()));
    await page.goto(`${site.base}#/${hash}`);
    await settled(page);
    return { page, errors, done: () => context.close() };
  };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What breaks WCAG 2.2 AA or good practice on the page as it is now. */
export async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async (runOnly) => {
    const it = (window as unknown as { axe: { run: (o: object) => Promise<{ violations: Violation[] }> } }).axe;
    const r = await it.run({ runOnly });
    return r.violations.map(
      (v) =>
        `${v.id}: ${v.nodes
          .slice(0, 2)
          .map((n) => `${n.html.slice(0, 160)} ${n.failureSummary.split('\n').slice(0, 3).join(' ')}`)
          .join(' | ')}`,
    );
  }, RULES);
}

/** By how many pixels the page and its main part are wider than the screen. */
export function overflow(page: Page): Promise<number[]> {
  return page.evaluate(() => [
    document.documentElement.scrollWidth - innerWidth,
    (document.querySelector('main')?.scrollWidth ?? 0) - (document.querySelector('main')?.clientWidth ?? 0),
  ]);
}
