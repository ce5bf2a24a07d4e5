/** Bar, palette, themes and languages: what looks alone, and so harms no cluster. */
import { check, ensure, same, type Open } from '../kit';

export function shell(open: Open): void {
  check('theme and language are switched, and remembered', async () => {
    const { page, done } = await open('engines', { lang: 'en', theme: 'dark' });
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.keyboard.press('t');
    same(await theme(), 'light', 'the theme');
    await page.keyboard.press('t');
    same(await page.evaluate(() => localStorage.getItem('acefleet.theme')), 'system', 'what is remembered');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('Español');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Motores', level: 1 }).waitFor();
    same(await page.evaluate(() => document.documentElement.lang), 'es', 'language of the page');
    await done();
  });

  check('the palette finds hosts, engines and actions', async () => {
    const { page, done } = await open('overview');
    for (const words of ['drain', 'acestream', 'start engine']) {
      await page.keyboard.press('Control+k');
      await page.keyboard.type(words);
      await page.waitForSelector('dialog.pal [role=option]');
      ensure(
        (await page.locator('dialog.pal [role=option]').first().textContent())
          ?.toLowerCase()
          .includes(words.split(' ')[0] ?? ''),
        words,
      );
      await page.keyboard.press('Escape');
    }
    await done();
  });

  check('nothing moves for those who want calm', async () => {
    const { page, done } = await open('hosts');
    const moving = () => page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running').length);
    same(await moving(), 0, 'animations');
    await page.keyboard.press('?');
    same(await moving(), 0, 'animations of a dialog');
    await done();
  });
}
