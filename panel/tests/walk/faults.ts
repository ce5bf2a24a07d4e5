/** What a healthy cluster never shows. The last check ends a fake node for good. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function faults(open: Open, { fleet, servers }: Fake): void {
  check('without a leader nothing can be changed, and it says so', async () => {
    const { page, done } = await open('hosts');
    const y = await page.evaluate(() => document.querySelector('main h1')?.getBoundingClientRect().top);
    fleet.setLeader(null);
    await page.waitForSelector('.top.bad');
    await page.getByText('No engine starts without a leader.').waitFor();
    same(await page.getByText(/takes engines|Passed over|Room for/).count(), 0, 'what only a leader could say');
    const button = page.getByRole('button', { name: 'Cordon' }).first();
    same(await button.getAttribute('aria-disabled'), 'true', 'the button');
    same(
      await page.evaluate(() => document.querySelector('main h1')?.getBoundingClientRect().top),
      y,
      'the title keeps its place',
    );
    same(await axe(page), [], 'axe');
    await button.press('Enter');
    await page.getByRole('alert').getByText('Needs a leader.').waitFor();
    await page.evaluate(() => (location.hash = '#/overview'));
    const line = page.locator('.att li', { hasText: 'The cluster has no leader' });
    await line.getByText('3 of 3 voters answer, which is enough: an election takes about a second.').waitFor();
    await line.getByRole('link', { name: 'Show cluster' }).click();
    fleet.setLeader('node-b');
    await page.waitForSelector('.top.bad', { state: 'detached' });
    await done();
  });

  check('an event is on the screen with the next picture', async () => {
    const { page, done } = await open('events');
    const from = performance.now();
    fleet.startEngine('node-b', null);
    await page.waitForFunction(
      () => document.querySelector('.ev')?.textContent?.includes('runs on node-b'),
      undefined,
      { polling: 10 },
    );
    await done();
    return `${Math.round(performance.now() - from)} ms`;
  });

  check('a node that hangs is left, and filters stay', async () => {
    const { page, done } = await open('engines?host=node-b&sort=-cpu');
    fleet.mute = true;
    await page.waitForSelector('.top.warn', { timeout: 4000 });
    fleet.mute = false;
    await page.waitForFunction(
      () =>
        document.querySelector('.live .mut')?.textContent === 'node-b' && document.querySelector('.live.warn') === null,
      undefined,
      { timeout: 4000 },
    );
    ensure(page.url().includes('host=node-b') && page.url().includes('sort=-cpu'), 'filters are kept');
    same(await axe(page), [], 'axe');
    await done();
  });

  check('a page that other members turn away says so, and where to open it', async () => {
    const { page, done } = await open('cluster');
    const hint = page.getByText('Other members do not answer this page');
    fleet.strict = true;
    await page.getByText('in step').first().waitFor();
    same(await hint.count(), 0, 'hints at the address of a member');
    await page.goto(page.url().replace('127.0.0.1', 'localhost'));
    await hint.waitFor();
    const href = await page.locator('.lognote a').getAttribute('href');
    ensure(/^http:\/\/127\.0\.0\.1:\d+\/panel\/#\/cluster$/.test(href ?? ''), `the link is ${href}`);
    same(await axe(page), [], 'axe');
    fleet.strict = false;
    await done();
  });

  check('the page is loaded again for a member that it may not ask, when nobody looks', async () => {
    const { page, errors, done } = await open('hosts');
    await page.evaluate(() => Object.assign(window, { before: true }));
    fleet.join('node-d', '127.0.0.1:8399');
    await page.getByText('node-d').first().waitFor();
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await page.waitForFunction(() => !('before' in window));
    await page.getByText('node-d').first().waitFor();
    same(page.url().split('#')[1], '/hosts', 'the page');
    same(errors, [], 'errors of the page');
    fleet.remove('node-d');
    await page.getByText('node-d').first().waitFor({ state: 'detached' });
    await done();
  });

  const otherLogs = {
    'a cluster whose backup was put back': () => fleet.restore(),
    'a cluster that was formed anew': () => fleet.reform(),
  };
  for (const [name, happens] of Object.entries(otherLogs)) {
    check(`${name} is shown, and what is missing is not known`, async () => {
      const { page, done } = await open('events');
      await page.waitForSelector('.ev');
      happens();
      for (const s of servers) s.closeAllConnections();
      await page.waitForSelector('.live:not(.warn)');
      await page.waitForFunction(() => document.querySelectorAll('.ev').length === 3);
      ensure((await page.locator('.res').textContent())?.includes('not known'), 'the line of the break says it');
      fleet.startEngine('node-b', null);
      await page.waitForFunction(() => document.querySelectorAll('.ev').length > 3);
      same(await axe(page), [], 'axe');
      await done();
    });
  }

  check('the node that serves the page dies', async () => {
    const { page, done } = await open('engines?sel=8');
    const from = performance.now();
    servers[0]?.close();
    servers[0]?.closeAllConnections();
    await page.waitForFunction(
      () =>
        !['', 'node-a'].includes(document.querySelector('.live .mut')?.textContent ?? '') &&
        document.querySelector('.live.warn') === null,
      undefined,
      { timeout: 5000, polling: 20 },
    );
    const took = performance.now() - from;
    ensure(took < 3000, `it took ${Math.round(took)} ms`);
    ensure(await page.locator('.sheet').isVisible(), 'the sheet is still open');
    await page.evaluate(() => (location.hash = '#/events'));
    await page.waitForSelector('.ev');
    fleet.startEngine('node-c', null);
    await page.waitForSelector('.res');
    same(await axe(page), [], 'axe');
    await done();
    return `live again after ${Math.round(took)} ms`;
  });
}
