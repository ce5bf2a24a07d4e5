/** Engines: facets, order, and what is done to one or many; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function engines(open: Open, { fleet }: Fake): void {
  check('facets and order are in the address, and come back with it', async () => {
    const { page, done } = await open('engines');
    await page.locator('.fac label', { hasText: 'node-c' }).first().click();
    await page.waitForFunction(() => location.hash.includes('host=node-c'));
    await page
      .locator('.t-eng')
      .getByRole('button', { name: /^Streams/ })
      .click();
    await page.waitForFunction(() => location.hash.includes('sort='));
    const rows = () => page.locator('.t-eng [role=row][data-at] .k-host').allTextContents();
    same([...new Set(await rows())], ['node-c'], 'hosts');
    await page.reload();
    await page.waitForSelector('.t-eng [role=row][data-at]');
    same([...new Set(await rows())], ['node-c'], 'hosts after a reload');
    const slots = (await page.locator('.t-eng [role=row][data-at] .k-streams').allTextContents()).map(Number);
    same(
      slots,
      [...slots].sort((a, b) => a - b),
      'order',
    );
    await page.getByRole('button', { name: 'Cells' }).click();
    await page.waitForSelector('.cellbox .cell');
    same(await axe(page), [], 'axe of the cells');
    await done();
  });

  check('many are chosen with x, and stopped at once', async () => {
    const { page, done } = await open('engines?host=node-c&sort=streams');
    await page.locator('.t-eng [role=row][data-at="0"]').focus();
    await page.keyboard.press('x');
    await page.keyboard.press('j');
    await page.keyboard.press('x');
    const before = fleet.world.engines.length;
    await page.getByRole('button', { name: 'Stop 2 selected…' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText(/streams? ends?\./).waitFor();
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Stop 2 engines' }).click();
    await page.locator('.toast').getByText('2 engines stopped').waitFor();
    same(fleet.world.engines.length, before - 2, 'engines');
    await page.getByRole('button', { name: /selected…/ }).waitFor({ state: 'detached' });
    await done();
  });

  check('an engine starts on the host that is chosen', async () => {
    const { page, done } = await open('engines');
    await page.getByRole('button', { name: 'Start engine…' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.locator('select').selectOption('node-b');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await page
      .locator('.toast')
      .getByText(/runs after/)
      .waitFor();
    same(fleet.world.engines.at(-1)?.node, 'node-b', 'its host');
    await done();
  });

  check('the sheet of a sick engine has its history, its placement, its load and its log', async () => {
    const sick = fleet.world.engines.find((e) => e.fault !== null);
    const { page, done } = await open(`engines?sel=${sick?.id}`);
    const sheet = page.locator('.sheet');
    await sheet.getByText(`${sick?.container_name} is unhealthy: it does not answer.`).waitFor();
    ensure((await sheet.locator('.hist i.x').count()) > 0, 'bars of the history');
    await sheet.getByText(/^Alone least loaded/).waitFor();
    same(await sheet.locator('.place li').count(), fleet.world.nodes.length, 'hosts');
    same(await sheet.locator('.mini .spark path.a[d^="M"]').count(), 2, 'curves');
    await sheet.locator('.tail > div').first().waitFor();
    await sheet.getByRole('button', { name: 'Copy', exact: true }).click();
    same(await page.evaluate(() => navigator.clipboard.readText()), sick?.container_id, 'what is copied');
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
}
