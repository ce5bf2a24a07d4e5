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
}
