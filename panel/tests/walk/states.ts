/** Before there is data, without any, and when none comes; on fake nodes of their own. */
import type { Browser } from 'playwright-core';
import { freePorts, start } from '../../dev/fake-node';
import { KEY } from '../../dev/fake/rest';
import { axe, check, ensure, opener, same } from '../kit';

export function states(browser: Browser): void {
  const site = async (engines: number) => {
    const ports = await freePorts(1);
    const fake = start(ports, engines, 0);
    return { fake, open: opener(browser, { base: `http://127.0.0.1:${ports[0]}/panel/`, key: KEY }) };
  };
  const feed = '**/events/stream*';

  check('a page that is loading has its labels, and its title where it stays', async () => {
    const { fake, open } = await site(40);
    const { page, done } = await open('overview');
    const y = () => page.evaluate(() => document.querySelector('main h1')?.getBoundingClientRect().top);
    const before = await y();
    let go = () => {};
    const held = new Promise<void>((r) => (go = r));
    await page.route(feed, async (r) => {
      await held;
      await r.continue();
    });
    await page.reload();
    await page.waitForSelector('main [aria-busy="true"]');
    same(await y(), before, 'the title keeps its place');
    await page.getByText('Healthy engines').waitFor();
    same(await axe(page), [], 'axe');
    go();
    await page.waitForSelector('.kpi .v');
    same(await y(), before, 'the title keeps its place');
    fake.servers[0]?.closeAllConnections();
    await done();
  });

  check('a node that gives no data says what was asked and answered, and goes on by itself', async () => {
    const { open } = await site(40);
    const { page, done } = await open('engines');
    await page.route(feed, (r) => r.fulfill({ status: 500, body: '{"detail":"store is closing"}' }));
    await page.reload();
    const alert = page.locator('main [role=alert]');
    await alert.getByText('GET events/stream gave 500.').waitFor();
    same(await axe(page), [], 'axe');
    // The page tries by itself, too, so the button may be gone as soon as an answer comes.
    const asked = page.waitForRequest(feed);
    await alert.getByRole('button', { name: 'Try again' }).click();
    await asked;
    await page.unroute(feed);
    await page.waitForSelector('.t-eng [role=row][data-at]');
    await done();
  });

  check('a cluster without engines shows the steps to the first, and starts it', async () => {
    const { fake, open } = await site(40);
    const { fleet } = fake;
    for (const list of [fleet.world.engines, fleet.world.streams, fleet.world.vpns]) list.length = 0;
    const { page, done } = await open('overview');
    await page.getByRole('heading', { name: 'The cluster is ready. It has no engine yet.' }).waitFor();
    await page.getByText('it opens new engines at localhost').waitFor();
    same(await axe(page), [], 'axe');
    await page.getByRole('button', { name: 'Copy' }).first().click();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    ensure(line.startsWith('curl -X POST'), `what is copied: ${line}`);
    await page.getByRole('button', { name: 'Start engine' }).click();
    await page.waitForSelector('.kpi .v');
    same(fleet.world.engines.length, 1, 'engines');
    await done();
  });
}
