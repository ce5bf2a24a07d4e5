/** What is changed, what is said before, and what it did; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { KEY } from '../../dev/fake/rest';
import { axe, check, ensure, same, type Open } from '../kit';

export function actions(open: Open, { fleet }: Fake): void {
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
}
