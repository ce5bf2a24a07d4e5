/** Pictures of every page in both themes and on a phone, of a cluster with one sick host; for people to look at. */
import { mkdirSync } from 'node:fs';
import { check, PAGES, type Open } from '../kit';
import type { Bed } from './bed';

const FORMS = [
  { name: 'dark', theme: 'dark', width: 1440, height: 900 },
  { name: 'light', theme: 'light', width: 1440, height: 900 },
  { name: 'phone', theme: 'dark', width: 360, height: 740 },
] as const;

export function shots(open: Open, bed: Bed, folder: string): void {
  check('pictures of all pages', async () => {
    mkdirSync(folder, { recursive: true });
    const sick = bed.nodes.at(-1)?.name ?? '';
    await bed.have(`tunnel ${sick} down`);
    for (const { name, ...form } of FORMS) {
      for (const p of PAGES) {
        const { page, done } = await open(p, form);
        await page.screenshot({ path: `${folder}/${p}-${name}.png` });
        await done();
      }
      for (const [p, table] of [
        ['engines', '.t-eng'],
        ['streams', '.t-str'],
      ] as const) {
        const { page, done } = await open(p, form);
        await page.locator(`${table} [role=row][data-at="0"]`).click();
        await page.waitForSelector('.sheet');
        await page.waitForTimeout(1000);
        await page.screenshot({ path: `${folder}/${p}-sheet-${name}.png` });
        await done();
      }
    }
    await bed.have(`tunnel ${sick} up`);
  });
}
