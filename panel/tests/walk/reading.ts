/** What only looks, and so harms no cluster. */
import { axe, check, ensure, same, type Open } from '../kit';

export function reading(open: Open): void {
  check('a stream shows its curve', async () => {
    const { page, errors, done } = await open('streams');
    await page.locator('.t-str [role=row][data-at="0"]').click();
    await page.waitForSelector('.sheet canvas');
    await page.locator('.plot').focus();
    const now = await page.locator('.leg').textContent();
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowLeft');
    await page.waitForFunction((n) => document.querySelector('.leg')?.textContent !== n, now);
    const line = page.locator('.sheet .lp');
    if ((await line.count()) > 0)
      ensure(
        /\ss behind live\..*Buffer/.test((await line.getAttribute('aria-label')) ?? ''),
        'the line says where it plays',
      );
    same(await axe(page), [], 'axe');
    same(errors, [], 'errors of the page');
    await done();
  });

  check('a filter narrows its list, and is in the address', async () => {
    const { page, errors, done } = await open('engines');
    for (const [at, row] of [
      ['engines', '.t-eng [role=row][data-at]'],
      ['streams', '.t-str [role=row][data-at]'],
      ['events', '.ev'],
    ] as const) {
      await page.evaluate((to) => (location.hash = `#/${to}`), at);
      await page.locator(row).first().waitFor();
      await page.getByRole('textbox', { name: `Filter ${at}` }).fill('no such thing');
      await page.locator(row).first().waitFor({ state: 'detached' });
      ensure(page.url().includes('q=no'), `the address has the filter of ${at}`);
    }
    same(errors, [], 'errors of the page');
    await done();
  });

  check(
    'the wall screen shows the overview alone, by key and by address, and is left for where one came from',
    async () => {
      const { page, done } = await open('engines?sort=-cpu');
      const rail = page.locator('.rail');
      const at = (hash: string) => page.waitForFunction((h) => location.hash === h, hash);
      const WALL = '#/overview?wall=1';
      for (const leave of ['Escape', 'w']) {
        await page.keyboard.press('w');
        await at(WALL);
        await rail.waitFor({ state: 'hidden' });
        await page.keyboard.press(leave);
        await at('#/engines?sort=-cpu');
        await rail.waitFor();
      }
      await page.keyboard.press('w');
      await at(WALL);
      await page.goBack();
      await at('#/engines?sort=-cpu');
      await rail.waitFor();
      await page.goForward();
      await rail.waitFor({ state: 'hidden' });
      await done();

      const direct = await open('overview?wall=1');
      await direct.page.locator('.rail').waitFor({ state: 'hidden' });
      await direct.page.keyboard.press('Escape');
      await direct.page.waitForFunction(() => location.hash === '#/overview');
      await direct.page.locator('.rail').waitFor();
      await direct.done();
    },
  );
}
