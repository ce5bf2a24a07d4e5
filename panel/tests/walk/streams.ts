/** Streams, live and ended; on fake nodes. */
import type { Locator } from 'playwright-core';
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

/** What stands beside a word of a list. */
const fact = async (at: Locator, word: string): Promise<string> =>
  (
    await at
      .locator('dt', { hasText: new RegExp(`^${word}$`) })
      .locator('+ dd')
      .first()
      .textContent()
  )?.trim() ?? '';

export function streams(open: Open, { fleet }: Fake): void {
  check('the URL of a stream is copied, and its engine is one click away', async () => {
    const { page, done } = await open('streams');
    await page.locator('.t-str [role=row][data-at="0"]').click();
    const sheet = page.locator('.sheet');
    await sheet.getByRole('button', { name: 'Copy stat URL' }).click();
    await page.locator('.toast').getByText('Stat URL copied.').waitFor();
    const url = await page.evaluate(() => navigator.clipboard.readText());
    ensure(
      fleet.world.streams.some((s) => s.stat_url === url),
      `what is copied: ${url}`,
    );
    await sheet.getByRole('link', { name: 'Engine' }).click();
    await page.waitForFunction(() => location.hash.startsWith('#/engines?sel='));
    await done();
  });

  check('the legend of a chart and the text beside it say the same', async () => {
    const { page, done } = await open('streams');
    await page.locator('.t-str [role=row][data-at="2"]').click();
    const sheet = page.locator('.sheet');
    await sheet.locator('canvas').waitFor();
    await sheet.locator('.leg').getByText('now', { exact: true }).waitFor();
    const both = () =>
      sheet.evaluate((s) =>
        ['.leg b', '.was dd'].map((q) => [...s.querySelectorAll(q)].map((x) => x.textContent?.replace(/\s/g, ''))),
      );
    const seen = new Set<string>();
    while (seen.size < 3) {
      const [legend, text] = await both();
      same(legend, text, 'down, up and peers');
      seen.add(String(text));
      await page.waitForFunction(
        (was) =>
          String([...document.querySelectorAll('.was dd')].map((x) => x.textContent?.replace(/\s/g, ''))) !== was,
        String(text),
      );
    }
    await done();
  });

  check('a stream is stopped, and is among those that ended, with its reason and its curve', async () => {
    const s = fleet.world.streams.findLast((x) => x.status === 'started');
    const { page, done } = await open(`streams?sel=${encodeURIComponent(s?.id ?? '')}`);
    await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('is cut off').waitFor();
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Stop stream' }).click();
    await page.locator('.toast').getByText('Stream ended in').waitFor();
    same(s?.status, 'ended', 'the stream');
    await page.evaluate(() => (location.hash = '#/streams?view=ended'));
    const row = page.locator('.t-end [role=row][data-at="0"]');
    await row.getByText('stopped by a caller').waitFor();
    await row.click();
    await page.waitForSelector('.sheet canvas');
    const sheet = page.locator('.sheet');
    ensure((await sheet.textContent())?.includes('ended: stopped by a caller'), 'the sheet says why');
    ensure(/At the end \(\d\d:\d\d:\d\d\)/.test((await sheet.locator('.leg').textContent()) ?? ''), 'the legend');
    same(await sheet.getByText(/^now$/i).count(), 0, 'words of the present');
    same(await fact(sheet, 'Received'), '3.0\u00a0GiB', 'what it has received');
    same(await fact(sheet, 'Sent'), '512\u00a0MiB', 'what it has sent');
    const end = sheet.locator('section', { has: page.getByRole('heading', { name: /At the end/ }) });
    ensure(/Mbit\/s/.test(await fact(end, 'Down')), 'its speed at the end');
    same(await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).count(), 0, 'buttons that stop it');
    same(await axe(page), [], 'axe of the sheet');
    await done();
  });
}
