/** What a person does with the panel, and what the cluster made of it by its own word. */
import type { components } from '../../src/lib/api/schema';
import type { Settings } from '../../src/lib/api/types';
import { axe, check, ensure, same, type Open } from '../kit';
import { eventually, type Bed, type Cluster, type Entry } from './bed';
import { confirm, live, told } from './screen';

type Schemas = components['schemas'];
type Engine = Schemas['EngineState'];
type Stream = Schemas['StreamState'];

export function actions(open: Open, bed: Bed): void {
  const first = bed.nodes[0]?.name ?? '';
  const last = bed.nodes.at(-1)?.name ?? '';
  const engines = () => bed.get<Engine[]>(first, 'engines');
  const availability = async (name: string) =>
    (await bed.get<Cluster>(first, 'cluster')).nodes.find((n) => n.name === name)?.availability;

  check('the key is asked for, a wrong one is refused, and the log names the right one', async () => {
    const { page, done } = await open('hosts', { key: null });
    const host = page.locator(`.host[aria-label="${last}"]`);
    await host.getByRole('button', { name: 'Cordon' }).click();
    await page.waitForSelector('dialog[open] input[type=password]');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open] [role=alert]');
    same(await availability(last), 'active', 'after a wrong key');
    await page.locator('input[type=password]').fill(bed.key);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.toast');
    same(await availability(last), 'cordoned', 'after the right key');
    ensure(!page.url().includes(bed.key), 'the key is in the address');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() => document.body.textContent?.includes('Undone.'));
    same(await availability(last), 'active', 'after undo');
    const events = await bed.get<Entry[]>(first, 'events?limit=50');
    const by = events.filter((e) => e.by?.address && e.message.includes(last));
    ensure(by.length >= 2, `the log does not say who did it: ${JSON.stringify(events.slice(0, 4))}`);
    await done();
  });

  check('an engine starts on the host that was chosen', async () => {
    const before = new Set((await engines()).map((e) => e.container_id));
    const { page, errors, done } = await open('engines');
    await page.getByRole('button', { name: 'Start engine…' }).click();
    await page.locator('dialog[open] select').selectOption(last);
    same(await axe(page), [], 'axe');
    const text = await confirm(page, 'Start');
    const fresh = await eventually('the engine in the list', async () => {
      const found = (await engines()).find((e) => !before.has(e.container_id));
      if (found === undefined) throw new Error('no other engine');
      return found;
    });
    same(fresh.node, last, 'its host');
    ensure(text.startsWith(fresh.container_name ?? '?'), text);
    same(errors, [], 'errors of the page');
    await done();
    return text;
  });

  check('a host drains until someone says stop', async () => {
    const { page, done } = await open('hosts');
    const host = page.locator(`.host[aria-label="${last}"]`);
    await host.getByRole('button', { name: 'Drain…' }).click();
    ensure(((await page.locator('dialog[open]').textContent()) ?? '').includes('No stream is cut'), 'the dialog');
    await page.locator('dialog[open]').getByRole('button', { name: 'Drain', exact: true }).click();
    await page.waitForSelector('.toast');
    await host.getByText('Draining:').waitFor();
    same(await availability(last), 'draining', last);
    await host.getByRole('button', { name: 'Stop draining' }).click();
    await host.getByRole('button', { name: 'Drain…' }).waitFor();
    same(await availability(last), 'active', last);
    await done();
  });

  check('a stream is stopped', async () => {
    const { page, errors, done } = await open('streams');
    await page.locator('.t-str [role=row][data-at="0"]').click();
    await page.waitForSelector('.sheet canvas');
    const key = await page.locator('.sheet .brk').last().textContent();
    await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).click();
    same(await axe(page), [], 'axe');
    const text = await confirm(page, 'Stop stream');
    const streams = await bed.get<Stream[]>(first, 'streams?status=ended');
    ensure(
      streams.some((s) => s.id === key),
      `${key} has not ended`,
    );
    // What it did is kept, from its series and its record.
    await page.evaluate(() => (location.hash = '#/streams?view=ended'));
    await page.locator('.t-end [role=row][data-at="0"]').click();
    await page.waitForSelector('.sheet canvas');
    ensure(/At the end/.test((await page.locator('.sheet').textContent()) ?? ''), 'figures of the end');
    same(errors, [], 'errors of the page');
    await done();
    return text;
  });

  check('a stop of an engine counts its streams, and ends them', async () => {
    const busy = (await engines()).find((e) => e.streams.length > 0);
    ensure(busy !== undefined, 'no engine has a stream');
    const { page, done } = await open(`engines?q=${busy.container_name}`);
    await page.locator('.t-eng [role=row][data-at="0"]').click();
    await page.locator('.sheet').getByRole('button', { name: 'Stop…' }).click();
    const said = (await page.locator('dialog[open]').textContent()) ?? '';
    const n = busy.streams.length;
    ensure(said.includes(`${n} stream${n === 1 ? ' ends' : 's end'}`), said);
    const text = await confirm(page, 'Stop engine');
    ensure(text.includes(`${n} stream`), text);
    ensure(!(await engines()).some((e) => e.container_id === busy.container_id), 'it is listed');
    await done();
    return text;
  });

  check('engines are chosen with the keyboard and stopped together', async () => {
    const before = await engines();
    const { page, done } = await open('engines?use=free');
    await page.waitForSelector('.t-eng [role=row][data-at="1"]');
    for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
    await page.getByRole('button', { name: 'Stop 2 selected…' }).click();
    const text = await confirm(page, 'Stop 2 engines');
    const left = new Set((await engines()).map((e) => e.container_id));
    same(before.filter((e) => !left.has(e.container_id)).length, 2, 'engines that are gone');
    await done();
    return text;
  });

  check('an engine is replaced', async () => {
    const engine = (await engines()).find((e) => e.streams.length === 0);
    ensure(engine !== undefined, 'no engine is free');
    const { page, done } = await open(`engines?q=${engine.container_name}`);
    await page.locator('.t-eng [role=row][data-at="0"]').click();
    await page.locator('.sheet').getByRole('button', { name: 'Replace…' }).click();
    await confirm(page, 'Replace engine');
    await eventually('it to leave the list', async () => {
      ensure(!(await engines()).some((e) => e.container_id === engine.container_id), 'it is listed');
    });
    await done();
  });

  check('a setting is reviewed, in force on every node, and taken back', async () => {
    const name = 'ENGINE_GRACE_PERIOD_S';
    const force = async (node: string) =>
      (await bed.get<Settings>(node, 'settings')).settings.find((s) => s.name === name)?.value;
    const was = await force(first);
    const { page, errors, done } = await open('settings');
    await page.locator(`#${name}`).fill('45');
    await page.waitForSelector('.review .diff .a');
    same(await axe(page), [], 'axe');
    await page.getByRole('button', { name: /^Apply/ }).click();
    await told(page);
    for (const n of bed.nodes) {
      await eventually(`${name} on ${n.name}`, async () => same(await force(n.name), 45, n.name));
    }
    await page.getByRole('button', { name: 'Revert…' }).first().click();
    await confirm(page, 'Revert');
    await eventually('the old value', async () => same(await force(first), was, name));
    same(errors, [], 'errors of the page');
    await done();
  });

  check('logs of engines on two hosts are merged', async () => {
    const all = await engines();
    const chosen = bed.nodes.flatMap((n) => all.find((e) => e.node === n.name) ?? []).slice(0, 2);
    same(chosen.length, 2, 'hosts with engines');
    const { page, errors, done } = await open(`logs?${chosen.map((e) => `c=${e.container_id}`).join('&')}`);
    for (const e of chosen) {
      await page
        .locator('.ln .nm', { hasText: e.container_name ?? '?' })
        .first()
        .waitFor();
    }
    same(errors, [], 'errors of the page');
    await done();
  });

  check('a member is let lead', async () => {
    const { page, done } = await open('cluster');
    const before = await bed.leader(first);
    await page.getByRole('button', { name: 'Let it lead' }).first().click();
    const text = await told(page);
    const after = await bed.leader(first, before);
    ensure(text.startsWith(after), `${text} but ${after} leads`);
    await page.waitForFunction((n) => document.querySelector('.steps')?.textContent?.includes(`${n} leads`), after);
    await live(page);
    await done();
    return text;
  });
}
