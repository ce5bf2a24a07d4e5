/** The overview: what needs attention, why, and what helps; on fake nodes. */
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, same, type Open } from '../kit';

export function overview(open: Open, { fleet }: Fake): void {
  const c = fleet.world.cluster;

  check('figures have an hour of curve, and lead to their pages', async () => {
    const { page, done } = await open('overview');
    await page.waitForFunction(() => document.querySelectorAll('.kpi .spark path.a[d^="M"]').length === 6);
    await page.locator('.kpi', { hasText: 'Download' }).click();
    await page.waitForFunction(() => location.hash === '#/streams?sort=-down');
    await done();
  });

  check('paused replacements say why, and one press lets them go on', async () => {
    const { page, done } = await open('overview');
    const line = page.locator('.att li', { hasText: 'Replacements are paused' });
    await line.getByText('acestream-62 did not start on node-a').waitFor();
    await line.getByRole('button', { name: 'Try now' }).click();
    await page.locator('.toast').getByText('Starts are allowed again.').waitFor();
    await line.waitFor({ state: 'detached' });
    same(c.provisioning.replacement_breaker_state, 'closed', 'the breaker');
    await done();
  });

  check('an engine that does not answer, a VPN that is down: cause, since when, a remedy', async () => {
    const { page, done } = await open('overview');
    const engine = page.locator('.att li', { hasText: 'is unhealthy' }).first();
    ensure(/It does not answer\..*still on it.*since \d\d:/s.test((await engine.textContent()) ?? ''), 'the engine');
    await engine.getByRole('button', { name: 'Stop engine…' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
    const vpn = page.locator('.att li', { hasText: 'VPN gluetun-a2 on node-a is down' });
    ensure(/AUTH_FAILED.*out of rotation.*since \d\d:/s.test((await vpn.textContent()) ?? ''), 'the VPN');
    await vpn.getByRole('button', { name: 'Start elsewhere…' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
    await vpn.getByRole('link', { name: 'Logs' }).click();
    await page.waitForFunction(() => location.hash.includes('node-a%2Fgluetun-a2'));
    await done();
  });

  check('used up ports, a host that is away, and containers of nobody are told', async () => {
    const { page, done } = await open('overview');
    c.provisioning.blocked_reasons = [{ code: 'no_free_ports', message: '19000-19039 is used up' }];
    c.left_behind = [
      { node: 'node-a', container: 'acestream-3', why: 'another life of its host left it behind' } as never,
    ];
    fleet.change('cluster', '', c);
    fleet.away('node-c', true);
    await page.getByText('All host ports are used up: 19000-19039 is used up.').waitFor();
    await page.getByText('1 container on node-a belongs to no cluster').waitFor();
    const away = page.locator('.att li', { hasText: 'node-c is away' });
    await away.getByText('It answers no member').waitFor();
    same(await axe(page), [], 'axe');
    await away.getByRole('link', { name: 'Show host' }).click();
    await page.waitForFunction(() => location.hash === '#/hosts');
    await page.locator('.host[aria-label="node-c"]').getByText('Away since').waitFor();
    fleet.away('node-c', false);
    c.provisioning.blocked_reasons = [];
    c.left_behind = [];
    fleet.change('cluster', '', c);
    await page.locator('.host.off').waitFor({ state: 'detached' });
    await done();
  });
}
