/** Changes of settings; on fake nodes. */
import type { Locator } from 'playwright-core';
import type { Fake } from '../../dev/fake-node';
import { setTo } from '../../dev/fake/settings';
import { axe, check, ensure, same, type Open } from '../kit';

/** Nothing lies above it, as the review may. */
const inSight = (field: Locator): Promise<boolean> =>
  field.evaluate((f) => {
    const r = f.getBoundingClientRect();
    return document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2) === f;
  });

export function settings(open: Open, { fleet }: Fake): void {
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

  check('a change of which nothing follows says so, and is made', async () => {
    const { page, done } = await open('settings');
    await page.locator('#IDLE_TTL_S').fill('700');
    const review = page.locator('.review');
    await review.getByText('Nothing else follows at once.').waitFor();
    const lines = await review.locator('.diff .r, .diff .a').allTextContents();
    same(
      lines.map((l) => l.split(/\s+/)),
      [
        ['IDLE_TTL_S', '600'],
        ['IDLE_TTL_S', '700'],
      ],
      'diff',
    );
    await review.getByRole('button', { name: /^Apply/ }).click();
    await page.waitForSelector('.toast');
    same(fleet.world.settings['IDLE_TTL_S'], 700, 'the setting');
    await done();
  });

  check('a value that is not accepted cannot be applied', async () => {
    const { page, done } = await open('settings');
    await page.locator('#MAX_REPLICAS').fill('many');
    await page.locator('.review').getByText('Not accepted: MAX_REPLICAS.').waitFor();
    const field = page.locator('#MAX_REPLICAS');
    same(await field.getAttribute('aria-invalid'), 'true', 'the field');
    const asked: string[] = [];
    page.on('request', (r) => r.method() === 'PATCH' && asked.push(r.url()));
    await page.getByRole('button', { name: /^Apply/ }).click();
    same(await page.evaluate(() => document.activeElement?.id), 'MAX_REPLICAS', 'focus');
    ensure(await inSight(field), 'the field is in sight');
    same(asked, [], 'changes that were sent');
    await page.getByRole('button', { name: 'Discard' }).click();
    await page.waitForSelector('.review', { state: 'detached' });
    await done();
  });

  check('a value that the cluster refuses is led to, with its reason beside it', async () => {
    const { page, done } = await open('settings');
    await page.locator('#CONTAINER_LABEL').fill('nothing');
    const review = page.locator('.review');
    await review.getByText('there is no =').waitFor();
    await page.locator('#IDLE_TTL_S').scrollIntoViewIfNeeded();
    await review.getByRole('button', { name: 'Go to CONTAINER_LABEL' }).click();
    same(await page.evaluate(() => document.activeElement?.id), 'CONTAINER_LABEL', 'focus');
    ensure(await inSight(page.locator('#CONTAINER_LABEL')), 'the field is in sight');
    await page.locator('#CONTAINER_LABEL-d .bad').getByText('there is no =').waitFor();
    same(await page.locator('#CONTAINER_LABEL').getAttribute('aria-invalid'), 'true', 'the field');
    same(await axe(page), [], 'axe');
    await done();
  });

  check('an older revision comes back, and says what changes', async () => {
    const { page, done } = await open('settings');
    const now = fleet.world.settings['MIN_FREE_REPLICAS'];
    await page.locator('.set').getByRole('button', { name: 'Revert…' }).last().click();
    const dialog = page.locator('dialog[open]');
    ensure((await dialog.textContent())?.includes(`MIN_FREE_REPLICAS ${now} → 0`), 'the dialog names the change');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Revert' }).click();
    await page.waitForSelector('.toast');
    same(fleet.world.settings['MIN_FREE_REPLICAS'], 0, 'the setting');
    await done();
  });

  check('what the environment says is beside what is in force', async () => {
    const { page, done } = await open('settings?tab=env');
    await page.getByText('node-c says 40').waitFor();
    ensure(await page.getByText(`in force ${fleet.world.settings['MAX_REPLICAS']}`).isVisible(), 'what is in force');
    await done();
  });

  check('an undo and a revert take back no change of others, and say whose it is', async () => {
    const { page, done } = await open('settings');
    const other = (v: number) => setTo(fleet, { MAX_REPLICAS: v }, false, null);
    await page.locator('#IDLE_TTL_S').fill('710');
    await page.getByRole('button', { name: /^Apply/ }).click();
    const toast = page.locator('.toast');
    await toast.getByRole('button', { name: 'Undo' }).waitFor();
    other(77);
    await toast.getByRole('button', { name: 'Undo' }).click();
    await toast.getByText(/API key · 127.0.0.1: MAX_REPLICAS \d+ → 77 \(revision/).waitFor();
    same(fleet.world.settings['MAX_REPLICAS'], 77, 'what the other one changed');
    same(fleet.world.settings['IDLE_TTL_S'], 710, 'what was to be undone');

    await page.locator('.set').getByRole('button', { name: 'Revert…' }).last().click();
    const dialog = page.locator('dialog[open]');
    await dialog.waitFor();
    other(78);
    await dialog.getByRole('button', { name: 'Revert' }).click();
    await dialog.getByText(/MAX_REPLICAS 77 → 78/).waitFor();
    same(fleet.world.settings['MAX_REPLICAS'], 78, 'what the other one changed');
    same(await axe(page), [], 'axe');
    await done();
  });
}
