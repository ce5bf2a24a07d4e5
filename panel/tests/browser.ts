/** Debian's Chromium, driven by Playwright; it asks nobody but the page under test. */
import { chromium, type Browser, type Page } from 'playwright-core';

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** Waits until the page is live and shows data. */
export async function settled(page: Page): Promise<void> {
  await page.waitForSelector('main h1', { timeout: 10_000 });
  await page.waitForSelector('main:not(.stale) [aria-busy="true"]', { state: 'detached', timeout: 10_000 });
  await page.waitForTimeout(900);
}
