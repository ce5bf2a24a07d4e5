/** A panel is looked at while the cluster is broken under it. */
import { axe, check, ensure, same, type Open } from '../kit';
import { eventually, type Bed, type Entry } from './bed';
import { Follower } from './follower';
import { eventNumbers, live } from './screen';

export function faults(open: Open, bed: Bed): void {
  const names = bed.nodes.map((n) => n.name);
  const first = names[0] ?? '';
  const last = names.at(-1) ?? '';

  check('a VPN that is down is named with its cause, and its engines are out', async () => {
    const { page, errors, done } = await open('overview');
    await bed.have(`tunnel ${last} down`);
    const line = page.locator('.att li, li', { hasText: `on ${last} is down` }).first();
    await line.waitFor({ timeout: 30_000 });
    await line.getByRole('button', { name: 'Start elsewhere…' }).waitFor();
    same(await axe(page), [], 'axe');
    await page.evaluate(() => (location.hash = '#/vpn'));
    const card = page.locator('.host', { hasText: last });
    await card.getByText(/^down/).first().waitFor();
    same(await axe(page), [], 'axe of the VPNs');
    await bed.have(`tunnel ${last} up`);
    await card
      .getByText(/^connected/)
      .first()
      .waitFor({ timeout: 60_000 });
    same(errors, [], 'errors of the page');
    await done();
  });

  check('a hung engine is named, with its remedy', async () => {
    const { page, done } = await open('overview');
    await bed.have(`hang ${first}`);
    const line = page.locator('li', { hasText: 'is unhealthy' }).first();
    await line.waitFor({ timeout: 30_000 });
    await line.getByRole('button', { name: 'Stop engine…' }).waitFor();
    await done();
  });

  check('without a majority reading goes on, and nothing can be changed', async () => {
    const { page, done } = await open('hosts');
    for (const n of names.slice(1)) await bed.have(`kill ${n}`);
    try {
      await page.waitForSelector('.top.bad', { timeout: 30_000 });
      const button = page.getByRole('button', { name: 'Cordon' }).first();
      same(await button.getAttribute('aria-disabled'), 'true', 'the button');
      ensure((await page.locator('.host').count()) === names.length, 'hosts are still shown');
      same(await axe(page), [], 'axe');
    } finally {
      for (const n of names.slice(1)) await bed.have(`start ${n}`);
    }
    await page.waitForSelector('.top.bad', { state: 'detached', timeout: 60_000 });
    await bed.leader(first);
    await done();
  });

  check('a reader and a panel see every event once, over two leaders and a node', async () => {
    const at = first;
    const { page, errors, done } = await open('events');
    await live(page);
    const reader = new Follower(bed, at);
    await eventually('the reader to be there', async () => ensure(reader.places.length > 0, 'not yet'));
    const from = await mark(bed, last, 'first');
    // The leader dies.
    const one = await bed.leader(last);
    await bed.have(`kill ${one}`);
    const alive = () => names.find((n) => n !== one) ?? last;
    const two = await bed.leader(alive(), one);
    await mark(bed, two, 'second');
    await bed.have(`start ${one}`);
    // The next one hands over.
    await eventually('a transfer', () => bed.json(two, 'POST', `cluster/nodes/${one}/lead`));
    await bed.leader(two, two);
    await mark(bed, two, 'third');
    // The node that serves the panel dies.
    const served = await live(page);
    await bed.have(`kill ${served}`);
    await live(page, [served]);
    const other = names.find((n) => n !== served) ?? last;
    await bed.leader(other, served);
    await mark(bed, other, 'fourth');
    await bed.have(`start ${served}`);
    await eventually('the node to be back', () => bed.leader(served));
    const to = await mark(bed, other, 'last');
    const log = (await bed.get<Entry[]>(other, 'events?limit=1000'))
      .map((e) => e.id)
      .filter((i) => i >= from && i <= to);
    const wanted = log.sort((a, b) => a - b);
    const here = (l: readonly number[]) => l.filter((i) => i >= from && i <= to);
    await eventually('the reader to have all', async () =>
      ensure(here(reader.seen).length >= wanted.length, 'not yet'),
    );
    await reader.stop();
    same(here(reader.seen), wanted, 'events of the reader');
    await page.waitForFunction(
      (n) => document.querySelector('.ev .rv')?.textContent?.replace(/\D/g, '') === n,
      String(to),
    );
    same(here(await eventNumbers(page)).reverse(), wanted, 'events of the panel');
    ensure(new Set(reader.places).size > 1 || served !== at, `the reader was at ${reader.places.join(', ')} alone`);
    same(
      errors.filter((e) => !/ERR_|Failed to load/.test(e)),
      [],
      'errors of the page',
    );
    await done();
    return `${wanted.length} events; the reader was at ${reader.places.join(', ')}`;
  });
}

/** Makes an event that can be told from others, and gives its number. */
async function mark(bed: Bed, at: string, what: string): Promise<number> {
  const before = await eventually('the log', () => bed.get<Entry[]>(at, 'events?limit=1'));
  const known = before[0]?.id ?? 0;
  const name = bed.nodes.at(-1)?.name ?? '';
  await eventually(`the ${what} mark`, async () => {
    await bed.json(at, 'POST', `cluster/nodes/${name}/cordon`);
    await bed.json(at, 'POST', `cluster/nodes/${name}/uncordon`);
  });
  return eventually(`the ${what} mark in the log`, async () => {
    const l = await bed.get<Entry[]>(at, 'events?limit=1');
    const id = l[0]?.id ?? 0;
    ensure(id > known, `it ends at ${id}`);
    return id;
  });
}
