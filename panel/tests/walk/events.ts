/** The log of events: who did what, in either language; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function events(open: Open, { fleet }: Fake): void {
  check('events and reasons are in the language of the page', async () => {
    const { page, done } = await open('events?type=system', { lang: 'es' });
    await page.getByText('node-b es líder desde el mandato').first().waitFor();
    await page.getByText('tras node-c: el líder anterior se vacía').waitFor();
    await page.getByText('node-c se vacía: sus motores se van con sus emisiones').waitFor();
    const texts = await page.locator('.ev p').allTextContents();
    same(
      texts.filter((x) => /\b(is|was|leads|the|takes)\b/.test(x)),
      [],
      'lines in English',
    );
    await page.evaluate(() => (location.hash = '#/hosts'));
    await page.getByText('no consigue arrancar motores').waitFor();
    await page.evaluate(() => (location.hash = '#/streams?view=ended'));
    await page.getByText('su motor ya no existe').first().waitFor();
    await done();
  });

  check('events are filtered by who, kind and words, and lead to their object', async () => {
    const { page, done } = await open('events');
    await page.getByRole('button', { name: 'Through the API' }).click();
    await page.waitForFunction(() =>
      [...document.querySelectorAll('.ev .who')].every((w) => w.textContent?.includes('·')),
    );
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.locator('select').selectOption('health');
    await page.waitForFunction(() => document.querySelectorAll('.ev').length === 1);
    await page.locator('.ev a').click();
    await page.waitForSelector('.sheet');
    ensure(page.url().includes('#/engines?sel='), 'the engine is open');
    await done();
  });

  check('a pause holds the list, and says how many wait', async () => {
    const { page, done } = await open('events');
    await page.getByRole('button', { name: 'Pause' }).click();
    const first = await page.locator('.ev').first().textContent();
    fleet.live();
    fleet.live();
    const on = page.getByRole('button', { name: /Go on, \d+ new/ });
    await on.waitFor();
    same(await page.locator('.ev').first().textContent(), first, 'the newest line');
    same(await axe(page), [], 'axe');
    await on.click();
    await page.waitForFunction((f) => document.querySelector('.ev')?.textContent !== f, first);
    await done();
  });
}
