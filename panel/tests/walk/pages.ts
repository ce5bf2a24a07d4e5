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

  check('pages that are left alone ask for nothing with each report', async () => {
    const rows: Record<string, string> = { engines: '[role=row][data-at="0"]', streams: '[role=row][data-at="0"]' };
    for (const p of ['overview', 'hosts', 'settings', ...Object.keys(rows)]) {
      const { page, done } = await open(p);
      const row = rows[p];
      if (row !== undefined) {
        await page.locator(row).click();
        await page.locator('.sheet').waitFor();
        await page.waitForTimeout(500);
      }
      const asked = new Map<string, number>();
      page.on('request', (r) => asked.set(r.url(), (asked.get(r.url()) ?? 0) + 1));
      await page.waitForTimeout(3000);
      // Two parts of a page may show the same hour. How far members are is asked every 2 s.
      same(
        [...asked].filter(([url, n]) => n > 2 && !url.endsWith('/cluster')),
        [],
        p,
      );
      await done();
    }
  });
}
