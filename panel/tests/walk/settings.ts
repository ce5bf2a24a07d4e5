/** Changes of settings; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, same, type Open } from '../kit';

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
}
