/** Streams, live and ended; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function streams(open: Open, { fleet }: Fake): void {
  check('the URL of a stream is copied, and its engine is one click away', async () => {
    const { page, done } = await open('streams');
    await page.locator('.t-str [role=row][data-at="0"]').click();
    const sheet = page.locator('.sheet');
    await sheet.getByRole('button', { name: 'Copy URL' }).click();
    await page.locator('.toast').getByText('URL copied.').waitFor();
    const url = await page.evaluate(() => navigator.clipboard.readText());
    ensure(
      fleet.world.streams.some((s) => s.stat_url === url),
      `what is copied: ${url}`,
    );
    await sheet.getByRole('link', { name: 'Engine' }).click();
    await page.waitForFunction(() => location.hash.startsWith('#/engines?sel='));
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
    ensure((await page.locator('.sheet').textContent())?.includes('ended: stopped by a caller'), 'the sheet says why');
    same(await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).count(), 0, 'buttons that stop it');
    same(await axe(page), [], 'axe of the sheet');
    await done();
  });
}
