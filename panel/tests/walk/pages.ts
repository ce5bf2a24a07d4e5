/** Every page in both themes, and on a small phone. */
import { axe, check, ensure, overflow, PAGES, same, type Open } from '../kit';

export function pages(open: Open): void {
  for (const p of PAGES) {
    for (const theme of ['dark', 'light']) {
      check(`${p} is sound, ${theme}`, async () => {
        const { page, errors, done } = await open(p, { theme, lang: theme === 'dark' ? 'en' : 'es' });
        ensure((await page.locator('main h1').count()) === 1, 'no heading');
        const found = await axe(page);
        ensure(!(await page.locator('body').textContent())?.includes('=>'), 'a function stands where words should');
        same(errors, [], 'errors of the page');
        same(found, [], 'axe');
        await done();
      });
    }
    check(`${p} fits a zoom of 400 %`, async () => {
      const { page, done } = await open(p, { width: 320, height: 256 });
      const over = await overflow(page);
      ensure(
        over.every((x) => x <= 0),
        `it is wider than the screen by ${over.join(' and ')} px`,
      );
      ensure((await page.evaluate(() => document.documentElement.scrollHeight)) > 256, 'the page scrolls whole');
      await done();
    });
    check(`${p} fits 360 px`, async () => {
      const { page, errors, done } = await open(p, { width: 360, height: 740 });
      const over = await overflow(page);
      ensure(
        over.every((x) => x <= 0),
        `it is wider than the screen by ${over.join(' and ')} px`,
      );
      same(await axe(page), [], 'axe');
      same(errors, [], 'errors of the page');
      await done();
    });
  }
}
