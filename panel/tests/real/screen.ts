/** What a person reads off the panel. */
import type { Page } from 'playwright-core';

/** Waits until the badge says that the page is live, from a node that is none of `not`; gives that node. */
export async function live(page: Page, not: readonly string[] = [], patience = 30_000): Promise<string> {
  const badge = await page.waitForFunction(
    (gone) => {
      const node = document.querySelector('.live .mut')?.textContent ?? '';
      return node !== '' && !gone.includes(node) && document.querySelector('.live.warn') === null && node;
    },
    [...not],
    { timeout: patience, polling: 20 },
  );
  return String(await badge.jsonValue());
}

/** Numbers of the events that the page of events lists, newest first. */
export function eventNumbers(page: Page): Promise<number[]> {
  return page.$$eval('.ev .rv', (l) => l.map((x) => Number((x.textContent ?? '').replace(/\D/g, ''))));
}

/** Presses a button of the open dialog, and waits for the message that tells what it did. */
export async function confirm(page: Page, label: string): Promise<string> {
  await page.locator('dialog[open]').getByRole('button', { name: label, exact: true }).click();
  return told(page);
}

/** Waits for a message, gives its text and closes it. */
export async function told(page: Page): Promise<string> {
  const toast = page.locator('.toast').last();
  // A button that failed says so at its place.
  await page.waitForSelector('.toast, .acterr[role=alert]', { timeout: 20_000 });
  const failed = page.locator('.acterr[role=alert]');
  if ((await failed.count()) > 0) throw new Error(`it was refused: ${await failed.first().textContent()}`);
  const text = (await toast.locator('p').textContent()) ?? '';
  await toast.getByRole('button', { name: 'Close' }).click();
  return text;
}
