/** Hosts: what is done to them, what is said before, and what it did; on fake nodes. */
import type { Locator } from 'playwright-core';
import type { Fake } from '../../dev/fake-node';
import { KEY, TOKEN } from '../../dev/fake/rest';
import { axe, check, ensure, same, type Open } from '../kit';

/** What a reader is told beside the name of a button. */
const accessibleReason = (button: Locator): Promise<string> =>
  button.evaluate((b) => document.getElementById(b.getAttribute('aria-describedby') ?? '')?.textContent ?? '');

export function hosts(open: Open, { fleet }: Fake): void {
  check(
    'a page without a key asks nothing that needs one, and a cluster without a key is not asked for one',
    async () => {
      fleet.tellsKey = false;
      const { page, errors, done } = await open('engines', { key: null });
      await page.locator('.t-eng [role=row][data-at="6"]').click();
      const sheet = page.locator('.sheet');
      await sheet.getByText('Logs need the API key.').waitFor();
      same(errors, [], 'refusals in the console');
      fleet.keyless = true;
      try {
        await sheet.getByRole('button', { name: 'API key' }).click();
        await sheet.getByRole('log').waitFor();
        same(await page.locator('dialog[open]').count(), 0, 'questions');
        same(await page.locator('.top').getByRole('button', { name: 'API key' }).count(), 0, 'offers of a key');
      } finally {
        Object.assign(fleet, { keyless: false, tellsKey: true });
      }
      await done();
    },
  );

  check('a node that cannot be asked whether it wants a key is an error to read', async () => {
    fleet.tellsKey = false;
    const { page, done } = await open('engines', { key: null });
    await page.route('**/session', (r) => r.abort());
    await page.locator('.t-eng [role=row][data-at="6"]').click();
    await page.locator('.sheet').getByRole('button', { name: 'API key' }).click();
    await page.locator('.sheet .acterr').getByText('It was not done: no answer').waitFor();
    await page.locator('.top').getByRole('button', { name: 'API key' }).click();
    await page.locator('.toast').getByText('It was not done: no answer').waitFor();
    // What the node says can be asked by the key that is entered, too.
    fleet.tellsKey = true;
    await done();
    const told = await open('engines', { key: null });
    await told.page.route('**/session', (r) => r.abort());
    await told.page.locator('.top').getByRole('button', { name: 'API key' }).click();
    await told.page.locator('dialog[open] input').fill('x');
    await told.page.keyboard.press('Enter');
    await told.page.locator('dialog[open] [role=alert]').getByText('It was not done: no answer').waitFor();
    await told.done();
  });

  check('a new tab on a cluster without a key offers none, and shows logs at once', async () => {
    fleet.keyless = true;
    const { page, done } = await open('engines', { key: null });
    try {
      same(await page.locator('.top').getByRole('button', { name: 'API key' }).count(), 0, 'offers of a key');
      await page.locator('.t-eng [role=row][data-at="6"]').click();
      await page.locator('.sheet').getByRole('log').waitFor();
    } finally {
      fleet.keyless = false;
    }
    await done();
  });

  check('the key is asked for once, and a wrong one is refused', async () => {
    const { page, done } = await open('hosts', { key: null });
    const sent: string[] = [];
    page.on('request', (r) => r.method() === 'POST' && sent.push(r.url()));
    await page.locator('.host').nth(1).getByRole('button', { name: 'Cordon' }).click();
    await page.waitForSelector('dialog[open] input[type=password]');
    same(sent, [], 'changes that were sent before the key was asked for');
    same(await axe(page), [], 'axe');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open] [role=alert]');
    await page.locator('input[type=password]').fill(KEY);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.toast');
    ensure(!page.url().includes(KEY), 'the key is in no address');
    const kept = () => page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]));
    ensure((await kept()).includes(TOKEN) && !(await kept()).includes(KEY), 'the token alone is kept');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() => document.body.textContent?.includes('Undone.'));
    same(fleet.node('node-b')?.availability, 'active', 'node-b');
    await page.locator('.top').getByRole('button', { name: 'Sign out: API key (admin)' }).click();
    await page.locator('.top').getByRole('button', { name: 'API key' }).waitFor();
    ensure(!(await kept()).includes(TOKEN), 'nothing is kept by who has signed out');
    await done();
  });

  check('a token that is over is asked about once more, and a key that was kept is given for a token', async () => {
    const { page, done } = await open('hosts');
    await page.waitForFunction((t) => sessionStorage.getItem('acefleet.key') === t, TOKEN);
    const over = { error: 'request_blocked', code: 'session_over', message: 'this session is over' };
    await page.route('**/cordon', (r) => r.fulfill({ status: 401, json: { detail: over } }), { times: 1 });
    await page.locator('.host').nth(1).getByRole('button', { name: 'Cordon' }).click();
    await page.locator('dialog[open] input[type=password]').fill(KEY);
    same(await page.locator('dialog[open] [role=alert]').count(), 0, 'words about a refusal');
    await page.keyboard.press('Enter');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() => document.body.textContent?.includes('Undone.'));
    await done();
  });

  check('a drain is asked for with what it does, shows how far it is, and is taken back', async () => {
    const { page, done } = await open('hosts');
    const card = page.locator('.host[aria-label="node-b"]');
    await card.getByRole('button', { name: 'Drain…' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('No stream is cut.').waitFor();
    await dialog.locator('select').selectOption('60');
    await dialog.getByText('cut off').waitFor();
    ensure((await dialog.textContent())?.includes('node-b leads the cluster'), 'the dialog says that it leads');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    const n = fleet.node('node-b');
    await card.getByText(`Draining: ${n?.engines} engines left.`).waitFor();
    await card.getByText(/Deadline \d\d:\d\d/).waitFor();
    const tomorrow = new Date(Date.now() + 24 * 3_600_000).toISOString();
    if (n?.drain) n.drain = { ...n.drain, deadline: tomorrow, engines_left: 2, streams_left: 1 };
    fleet.change('node', 'node-b', n);
    await card.getByText('Draining: 2 engines left.').waitFor();
    await card.getByText('1 stream is left').waitFor();
    await card.getByText(/Deadline \S+\s\S+\s\d\d:\d\d\./).waitFor();
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await card.getByRole('button', { name: 'Cordon' }).waitFor();
    same(n?.availability, 'active', 'node-b');
    await done();
  });

  check('a drain is stopped', async () => {
    const { page, done } = await open('hosts');
    const card = page.locator('.host[aria-label="node-c"]');
    await card.getByRole('button', { name: 'Stop draining' }).click();
    await card.getByRole('button', { name: 'Drain…' }).waitFor();
    await page.locator('.toast').getByText('node-c takes engines again').waitFor();
    await done();
  });

  check('a host that is passed over says why', async () => {
    const { page, done } = await open('hosts');
    await page.locator('.host[aria-label="node-a"]').getByText('Passed over for new engines:').waitFor();
    await done();
  });

  check('removing a host shows the votes, and what would be refused cannot be pressed', async () => {
    const { page, done } = await open('hosts');
    fleet.queued.set('node-c', 2);
    await page.locator('.host[aria-label="node-c"]').getByRole('button', { name: 'Remove…' }).click();
    const dialog = page.locator('dialog[open]');
    const says = (text: string) => dialog.getByRole('listitem').getByText(text).waitFor();
    await dialog.getByText('Votes: 3 now, 2 after.').waitFor();
    await says('Now 3 of 3 voters answer and 2 are needed: 1 may fail.');
    await says('After that 2 of 2 voters answer and 2 are needed: none may fail.');
    await says(`${fleet.node('node-c')?.engines} engines run on it. Drain it first`);
    await says('2 events that it answered are not written yet.');
    same(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Cancel', 'focus');
    same(await axe(page), [], 'axe');
    const button = dialog.getByRole('button', { name: 'Remove', exact: true });
    const reason = dialog.getByText('It would be refused. node-c lives');
    await reason.waitFor();
    same(await button.getAttribute('aria-disabled'), 'true', 'the button');
    ensure((await accessibleReason(button)).includes('drain it first'), 'the button is described by the reason');
    const asked: string[] = [];
    page.on('request', (r) => r.method() === 'DELETE' && asked.push(r.url()));
    await button.press('Enter');
    await dialog.getByRole('checkbox').check();
    await reason.waitFor({ state: 'detached' });
    same(await button.getAttribute('aria-disabled'), null, 'the button by force');
    same(asked, [], 'requests of the button that is barred');
    ensure(fleet.node('node-c') !== undefined, 'it is still a member');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    fleet.queued.clear();
    await done();
  });

  check('a removal that force cannot make says so, and offers no force', async () => {
    const { page, done } = await open('hosts');
    fleet.away('node-c', true);
    try {
      await page.locator('.host.off[aria-label="node-c"]').waitFor();
      await page.locator('.host[aria-label="node-a"]').getByRole('button', { name: 'Remove…' }).click();
      const dialog = page.locator('dialog[open]');
      await dialog.getByText('It would be refused, by force too.').waitFor();
      same(
        await dialog.getByRole('button', { name: 'Remove', exact: true }).getAttribute('aria-disabled'),
        'true',
        'the button',
      );
      await dialog.getByText('Now 2 of 3 voters answer and 2 are needed: none may fail.').waitFor();
      same(await dialog.getByRole('checkbox').count(), 0, 'offers of force');
      same(await axe(page), [], 'axe');
    } finally {
      fleet.away('node-c', false);
    }
    await done();
  });

  check('a member goes, and the dialog says in Spanish what that does', async () => {
    const { page, done } = await open('hosts', { lang: 'es' });
    fleet.join('node-d', '127.0.0.1:9');
    const card = page.locator('.host[aria-label="node-d"]');
    await card.getByRole('button', { name: 'Quitar…' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('Votos: 4 ahora, 3 después.').waitFor();
    await dialog.getByText('Ahora responden 4 de 4 votantes y hacen falta 3: puede fallar 1.').waitFor();
    await dialog.getByText('No tiene ningún motor.').waitFor();
    same(await dialog.getByRole('checkbox').count(), 0, 'offers of force');
    await dialog.getByRole('button', { name: 'Quitar', exact: true }).click();
    await card.waitFor({ state: 'detached' });
    ensure(fleet.node('node-d') === undefined, 'it is no member');
    await done();
  });

  check('the line by which a host joins is copied', async () => {
    const { page, done } = await open('hosts');
    await page.getByRole('button', { name: 'Add host…' }).click();
    const dialog = page.locator('dialog[open]');
    same(await axe(page), [], 'axe');
    await dialog.getByRole('button', { name: 'Copy' }).click();
    await page.locator('.toast').getByText('Copied.').waitFor();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    same(line, 'acefleet token create', 'what is copied');
    await done();
  });

  check('a cell opens its engine, and the hour of a host is drawn', async () => {
    const { page, done } = await open('hosts');
    same(await page.locator('.host[aria-label="node-b"] .hh .spark path.a[d^="M"]').count(), 3, 'curves');
    await page.locator('.host[aria-label="node-b"] .cell').first().click();
    await page.waitForSelector('.sheet');
    await page.keyboard.press('Escape');
    ensure(await page.evaluate(() => document.activeElement?.classList.contains('cell')), 'focus is back on the cell');
    await done();
  });

  check('a member is let lead, and the strip of leaders says so', async () => {
    const { page, done } = await open('cluster');
    await page.getByRole('button', { name: 'Let it lead' }).first().click();
    await page.waitForSelector('.toast');
    same(fleet.leader, 'node-a', 'the leader');
    // Four elections of the day before, of which one is the first and one of the same leader again.
    await page.getByText('3 changes').waitFor();
    const strip = page.locator('.tm');
    same(
      await strip
        .locator('div')
        .allTextContents()
        .then((l) => l.map((x) => x.trim()).slice(0, 5)),
      ['', 'node-a · 11', 'node-c · 12', 'node-c · 13', 'node-b'],
      'labels of the strip',
    );
    ensure((await strip.getAttribute('aria-label'))?.includes('node-c, term 13; node-b, term 14'), 'the strip is told');
    await page.waitForFunction(() =>
      document
        .querySelector('.steps')
        ?.textContent?.includes('node-a leads since term 15, after node-b: asked for by API key ·'),
    );
    same(await axe(page), [], 'axe');
    await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
    await page.waitForFunction(() =>
      document.querySelector('.steps')?.textContent?.includes('node-b leads since term 16'),
    );
    same(fleet.leader, 'node-b', 'the leader');
    await done();
  });

  check('how long syncs of the log take is shown with its unit, and a slow disk stands out', async () => {
    const { page, done } = await open('hosts');
    const fact = (name: string) =>
      page.locator(`.host[aria-label="${name}"] .facts > div`, { has: page.getByText('fsync p99', { exact: true }) });
    await fact('node-a').getByText('2.9 ms').waitFor();
    await fact('node-c').locator('.warn').getByText('94 ms').waitFor();
    same(await fact('node-a').locator('.warn').count(), 0, 'warnings of a fast disk');
    const n = fleet.node('node-a');
    if (n) n.fsync_p99_ms = 7.5;
    fleet.change('node', 'node-a', n);
    await fact('node-a').getByText('7.5 ms').waitFor();
    await page.evaluate(() => (location.hash = '#/cluster'));
    const member = page.locator('.hrow', { hasText: 'node-a' });
    await member.getByText('fsync p99 7.5 ms').waitFor();
    if (n) n.fsync_p99_ms = 2.9;
    fleet.change('node', 'node-a', n);
    await member.getByText('fsync p99 2.9 ms').waitFor();
    await done();
  });

  check('positions of the log and outboxes are shown for each member', async () => {
    const { page, done } = await open('cluster');
    same(await page.locator('.lg .r').count(), 3, 'bars');
    await page.getByText('5 entries behind').waitFor();
    same(await page.getByText('outbox empty').count(), 3, 'outboxes');
    await page.getByText('version 0.1.0').waitFor();
    await page.getByRole('button', { name: 'Copy id' }).click();
    same(await page.evaluate(() => navigator.clipboard.readText()), fleet.world.cluster.cluster_id, 'the id');
    await done();
  });
}
