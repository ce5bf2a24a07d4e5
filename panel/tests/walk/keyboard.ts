/** What works without a mouse. */
import { axe, check, ensure, same, type Open } from '../kit';

export function keyboard(open: Open): void {
  check('nothing but the keyboard is needed', async () => {
    const { page, done } = await open('overview');
    await page.keyboard.press('Tab');
    same(await page.evaluate(() => document.activeElement?.className), 'skip', 'the first stop');
    await page.keyboard.press('g');
    await page.keyboard.press('e');
    await page.waitForSelector('.t-eng [role=row][data-at]');
    await page.keyboard.press('j');
    const first = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    await page.keyboard.press('j');
    const second = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    ensure(first && second && first !== second, `j moves focus: ${first}, ${second}`);
    same(await page.locator('.t-eng [tabindex="0"]').count(), 1, 'tab stops of the table');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.sheet');
    same(await axe(page), [], 'axe of the sheet');
    const before = await page.locator('.sheet h2').textContent();
    await page.keyboard.press('j');
    await page.waitForFunction((b) => document.querySelector('.sheet h2')?.textContent !== b, before);
    await page.keyboard.press('Escape');
    await page.waitForSelector('.sheet', { state: 'detached' });
    ensure(await page.evaluate(() => document.activeElement?.getAttribute('role') === 'row'), 'focus is back on a row');
    await page.keyboard.press('End');
    ensure(
      Number(await page.evaluate(() => document.activeElement?.getAttribute('data-at'))) > 0,
      'End goes to the last row',
    );
    await page.keyboard.press('/');
    await page.keyboard.type('node-b');
    await page.waitForFunction(() => location.hash.includes('q=node-b'));
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open] .keys');
    same(await axe(page), [], 'axe of the map of keys');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.waitForSelector('dialog[open].pal');
    same(await axe(page), [], 'axe of the palette');
    await page.keyboard.type('cluster');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => location.hash.startsWith('#/cluster'));
    await done();
  });
}
