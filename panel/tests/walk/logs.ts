/** Logs of containers; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, same, type Open } from '../kit';

export function logs(open: Open, { fleet }: Fake): void {
  check('logs of two hosts are merged', async () => {
    const [a, b] = [fleet.world.engines[0], fleet.world.engines.at(-1)];
    const { page, done } = await open(`logs?c=${a?.container_id}&c=${b?.container_id}`);
    await page.waitForFunction(() => document.querySelectorAll('.ln').length > 100);
    await page.locator('.lq').fill('timed out');
    await page.waitForSelector('mark');
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -600);
    await page.waitForSelector('.jump');
    same(await axe(page), [], 'axe');
    await done();
  });
}
