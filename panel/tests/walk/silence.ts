/** Hosts that are not heard: what they said last is not shown as what is; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function silence(open: Open, { fleet }: Fake): void {
  check(
    'a node that was told to stop is stopping, then stopped, and counts as neither silent nor healthy',
    async () => {
      const { page, done } = await open('hosts');
      const card = page.locator('.host[aria-label="node-c"]');
      const bar = page.locator('.top .sent').last();
      await bar.getByText('of 3 hosts').waitFor();
      fleet.stopping('node-c', true);
      try {
        await card.locator('.st', { hasText: /^stopping$/ }).waitFor();
        await card.getByText('Its node is being stopped.').waitFor();
        await card.getByText('it counts as down: its engines are off the list and replaced elsewhere').waitFor();
        ensure(/^\s*2\s+of 3 hosts/.test((await bar.textContent()) ?? ''), `the bar: ${await bar.textContent()}`);
        fleet.stopped('node-c');
        await card.locator('.st', { hasText: /^stopped$/ }).waitFor();
        same(await page.getByText('silent').count(), 0, 'words of silence');
        await card.locator('.cap').getByText('streams · –').waitFor();
        same(await card.getByText('fsync p99').count(), 0, 'times of the disk of a host that is not heard');
        same(await axe(page), [], 'axe');
        await page.evaluate(() => (location.hash = '#/overview'));
        const line = page.locator('.att li', { hasText: 'The node of node-c is stopped' });
        await line.getByText('no other voter may fail meanwhile').waitFor();
        same(await page.getByText('The disk of node-c is slow').count(), 0, 'problems that nobody sees any more');
        await page.evaluate(() => (location.hash = '#/cluster'));
        const member = page.locator('.hrow', { hasText: 'node-c' });
        await member.getByText('stopped', { exact: true }).waitFor();
        await member.getByText('last known: outbox empty').waitFor();
        same(await member.getByRole('button', { name: 'Let it lead' }).count(), 0, 'offers to let it lead');
      } finally {
        fleet.stopping('node-c', false);
      }
      await page.locator('.hrow', { hasText: 'node-c' }).getByText('in step').waitFor();
      await done();
    },
  );

  check('a host that does not answer is asked for nothing, and its engines, streams and logs say so', async () => {
    const engine = fleet.world.engines.find((e) => e.node === 'node-c' && e.streams.length > 0);
    ensure(engine !== undefined, 'an engine of node-c plays');
    const { page, errors, done } = await open('overview');
    fleet.stopping('node-c', true);
    fleet.stopped('node-c');
    try {
      await page.locator('.att li', { hasText: 'The node of node-c is stopped' }).waitFor();
      const asked: string[] = [];
      page.on('request', (r) => /\/series\?of=(engine|stream)|\/logs/.test(r.url()) && asked.push(r.url()));
      const go = (hash: string) => page.evaluate((h) => (location.hash = h), `#/${hash}`);
      await go(`engines?sel=${engine.id}`);
      const sheet = page.locator('.sheet');
      await sheet.getByText('node-c does not answer').waitFor();
      same(await sheet.getByRole('heading', { name: 'Load' }).count(), 0, 'loads of an engine that nobody sees');
      same(await axe(page), [], 'axe');
      await go(`streams?sel=${encodeURIComponent(engine.streams[0] ?? '')}`);
      await sheet.getByText('node-c does not answer').waitFor();
      await go(`logs?c=${engine.container_id}`);
      await page.locator('.logs').getByText(`node-c does not answer, so the log of ${engine.container_name}`).waitFor();
      same(await axe(page), [], 'axe');
      same([asked, errors], [[], []], 'what the host was asked for, and errors');
      fleet.stopping('node-c', false);
      await page.locator('.logs .ln').first().waitFor();
    } finally {
      fleet.stopping('node-c', false);
    }
    await done();
  });
}
