/** Logs of containers; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import type { Page } from 'playwright-core';
import { axe, check, ensure, same, type Open } from '../kit';

export function logs(open: Open, { fleet, servers }: Fake): void {
  const shows = (page: Page, n: number) =>
    page.waitForFunction((most) => document.querySelectorAll('.ln').length > most, n);

  check('logs of two hosts are merged', async () => {
    const [a, b] = [fleet.world.engines[0], fleet.world.engines.at(-1)];
    const { page, done } = await open(`logs?c=${a?.container_id}&c=${b?.container_id}`);
    await shows(page, 100);
    const names = new Set(await page.locator('.ln .nm').allTextContents());
    same([...names].sort(), [a?.container_name, b?.container_name].sort(), 'names');
    const times = await page.locator('.ln > .mut').allTextContents();
    same(times, [...times].sort(), 'order');
    await page.locator('.lq').fill('timed out');
    await page.waitForSelector('mark');
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -600);
    await page.waitForSelector('.jump');
    same(await axe(page), [], 'axe');
    await page.waitForFunction(() => /new lines?/.test(document.querySelector('.jump')?.textContent ?? ''));
    await page.locator('.jump button').click();
    await page.waitForSelector('.jump', { state: 'detached' });
    await done();
  });

  check('the log of a VPN is chosen from the same list', async () => {
    const { page, errors, done } = await open('logs');
    await page.getByRole('button', { name: 'Choose a container' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.locator('input').fill('gluetun');
    same(await dialog.locator('.pick li').count(), fleet.world.vpns.length, 'VPNs that are offered');
    same(await axe(page), [], 'axe of the list');
    await dialog.getByRole('button', { name: /gluetun-b1/ }).click();
    await page.waitForFunction(() => location.hash.includes('node-b%2Fgluetun-b1'));
    await shows(page, 100);
    ensure((await page.locator('.chip').textContent())?.includes('gluetun-b1'), 'the chip names it');
    same(errors, [], 'errors of the page');
    await done();
  });

  check('a VPN, and an engine, have their logs in one click', async () => {
    const { page, done } = await open('vpn');
    await page.locator('.host').first().getByRole('link', { name: 'Logs' }).click();
    await shows(page, 10);
    await page.evaluate((id) => (location.hash = `#/engines?sel=${id}`), fleet.world.engines[0]?.id);
    await page.locator('.sheet').getByRole('link', { name: 'Logs' }).click();
    await shows(page, 10);
    await done();
  });

  check('levels and expressions are chosen, kept, and colours of programs are shown', async () => {
    const { page, done } = await open(`logs?c=${fleet.world.engines[0]?.container_id}`);
    await shows(page, 100);
    await page.waitForSelector('.ln .m .a2');
    await page.getByRole('button', { name: 'Error', exact: true }).click();
    await page.waitForFunction(
      () => document.querySelector('.ln.I') === null && document.querySelector('.ln.E') !== null,
    );
    await page.getByRole('button', { name: '.*', exact: true }).click();
    await page.locator('.lq').fill('timed (out|in) after \\d+');
    await page.waitForSelector('mark');
    await page.locator('.lq').fill('(');
    await page.getByText('No valid expression').waitFor();
    await page.reload();
    await page.waitForSelector('.log');
    for (const name of ['Error', '.*'])
      same(await page.getByRole('button', { name, exact: true }).getAttribute('aria-pressed'), 'true', name);
    await done();
  });

  check('a log goes on without a gap and without doubles, behind a broken and a silent connection', async () => {
    const { page, done } = await open(`logs?c=${fleet.world.engines[0]?.container_id}`);
    await page.getByRole('button', { name: 'Debug', exact: true }).click();
    await shows(page, 100);
    const numbers = async () => (await page.locator('.ln .m').allTextContents()).map((s) => Number(s.split('#')[1]));
    const goesOn = async (fault: () => void) => {
      const had = (await numbers()).length;
      fault();
      await shows(page, had + 4);
    };
    await goesOn(() => servers.forEach((s) => s.closeAllConnections()));
    fleet.mute = true;
    await page.waitForSelector('.top.warn', { timeout: 4000 });
    await goesOn(() => (fleet.mute = false));
    const got = await numbers();
    same(
      got.filter((n, i) => n !== ((got[0] ?? 0) + i) % 10_000),
      [],
      'numbers out of order',
    );
    await done();
  });

  check('many logs leave connections for calls, and all of them come', async () => {
    const chosen = fleet.world.engines.slice(0, 8);
    const { page, errors, done } = await open(`logs?${chosen.map((e) => `c=${e.container_id}`).join('&')}`);
    await page.waitForFunction(
      (n) => new Set([...document.querySelectorAll('.ln .nm')].map((e) => e.textContent)).size === n,
      chosen.length,
    );
    const answer = page.evaluate(async () => (await fetch('../cluster', { cache: 'no-store' })).status);
    const late = new Promise<string>((r) => setTimeout(() => r('no answer'), 5000));
    same(await Promise.race([answer, late]), 200, 'a call beside them');
    ensure((await page.locator('.lognote').textContent())?.includes(chosen[3]?.container_name ?? '?'), 'it says which');
    // The fourth is followed when the first leaves; nothing of it is lost or comes twice.
    const name = chosen[3]?.container_name ?? '';
    const numbers = async () =>
      (
        await page
          .locator('.ln', { has: page.locator(`.nm[title="${name}"]`) })
          .locator('.m')
          .allTextContents()
      ).map((s) => Number(s.split('#')[1]));
    await page.getByRole('button', { name: 'Debug', exact: true }).click();
    await page.getByRole('button', { name: `Remove ${chosen[0]?.container_name}` }).click();
    const had = (await numbers()).length;
    await page.waitForFunction(
      ([of, most]) => document.querySelectorAll(`.ln .nm[title="${of}"]`).length > Number(most),
      [name, had + 5],
    );
    const got = await numbers();
    same(
      got.filter((n, i) => n !== ((got[0] ?? 0) + i) % 10_000),
      [],
      'numbers out of order',
    );
    same(errors, [], 'errors of the page');
    await done();
  });

  check('a log that is gone is told in the words of the node', async () => {
    const { page, done } = await open('logs?c=gone');
    await page.getByText('The log of gone cannot be read: no such container').waitFor();
    await done();
  });
}
