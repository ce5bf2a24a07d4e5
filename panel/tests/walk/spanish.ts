/** What stays English for those who read Spanish: nothing but the words of other programs; on fake nodes. */
import type { Page } from 'playwright-core';
import type { Fake } from '../../dev/fake-node';
import { axe, check, ensure, overflow, PAGES, same, type Open } from '../kit';

/** Words of Docker, of Gluetun and of engines. */
const OF_OTHERS = /AUTH_FAILED|held by another program|^\[\w+\] /;

/** What is written or said with English words, of which one may be a name. */
const inEnglish = async (page: Page): Promise<string[]> => {
  const texts = await page.evaluate(() => {
    const texts: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
      if (walker.currentNode.parentElement?.tagName !== 'NOSCRIPT') texts.push(walker.currentNode.textContent ?? '');
    for (const e of document.querySelectorAll('[aria-label],[title],[placeholder]'))
      texts.push(...['aria-label', 'title', 'placeholder'].map((a) => e.getAttribute(a) ?? ''));
    return [...new Set(texts)];
  });
  const words =
    /\b(the|is|are|was|be|been|which|its|it|that|than|not|has|have|with|for|from|this|and|of|to|on|at|by)\b/gi;
  return texts.filter((t) => (t.match(words) ?? []).length > 1 && !OF_OTHERS.test(t));
};

/** Where something is asked or refused beside what pages show at once. */
const DEEPER: Record<string, (page: Page) => Promise<void>> = {
  'overview, the palette': async (page) => {
    await page.keyboard.press('Control+k');
    await page.waitForSelector('dialog.pal [role=option]');
  },
  'overview, keys': async (page) => {
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
  },
  'engines, a sheet': async (page) => {
    await page.locator('[role=row][data-at="0"]').click();
    await page.locator('.sheet').waitFor();
  },
  'engines, a start': async (page) => {
    await page.getByRole('button', { name: 'Iniciar motor…' }).first().click();
    await page.waitForSelector('dialog[open]');
  },
  'streams, a sheet': async (page) => {
    await page.locator('[role=row][data-at="0"]').click();
    await page.locator('.sheet').waitFor();
  },
  'hosts, a drain': async (page) => {
    await page.getByRole('button', { name: 'Vaciar…' }).first().click();
    await page.waitForSelector('dialog[open]');
  },
  'hosts, another one': async (page) => {
    await page.getByRole('button', { name: 'Añadir host…' }).first().click();
    await page.waitForSelector('dialog[open]');
  },
  'settings?tab=env, the environment': (page) => page.getByText('node-c dice 40').waitFor(),
  'hosts, a removal': async (page) => {
    await page.locator('.host[aria-label="node-c"]').getByRole('button', { name: 'Quitar…' }).click();
    await page.locator('dialog[open] li').first().waitFor();
  },
  'settings, what follows': async (page) => {
    await page.locator('#MIN_FREE_REPLICAS').fill('3');
    await page.locator('#ACEFLEET_DOWN_AFTER_S').fill('2');
    await page.locator('#CONTAINER_LABEL').fill('a=b');
    await page.locator('.review li .info').first().waitFor();
  },
  'settings, a refusal': async (page) => {
    await page.locator('#CONTAINER_LABEL').fill('nothing');
    await page.locator('.review li span.bad').waitFor();
  },
  'settings, what is not accepted': async (page) => {
    await page.locator('#PORT_RANGE_HOST').fill('');
    await page.locator('#STARTUP_TIMEOUT_S').fill('soon');
    await page.locator('#MAX_REPLICAS').fill('0');
    await page.locator('.fr p .bad').nth(2).waitFor();
  },
};

export function spanish(open: Open, { fleet }: Fake): void {
  const blocked = () => {
    fleet.world.cluster.provisioning.blocked_reasons = [
      {
        code: 'max_capacity',
        message:
          'no host can start an engine now: node-a runs 20 engines, which is its ACEFLEET_CAPACITY; node-b is cordoned',
      },
      {
        code: 'vpn_disconnected',
        message: 'no VPN is connected (gluetun-a2 on node-a: its health check says that the tunnel is down)',
      },
    ] as typeof fleet.world.cluster.provisioning.blocked_reasons;
    fleet.change('cluster', '', fleet.world.cluster);
  };
  const ways: [string, (page: Page) => Promise<void>][] = [
    ...PAGES.filter((p) => p !== 'logs').map((p): [string, () => Promise<void>] => [p, async () => {}]),
    ...Object.entries(DEEPER),
  ];
  for (const [name, go] of ways)
    check(`in Spanish no sentence is English: ${name}`, async () => {
      const before = fleet.world.cluster.provisioning.blocked_reasons;
      blocked();
      try {
        const { page, done } = await open(name.split(',')[0] ?? '', { lang: 'es', width: 360, height: 740 });
        await go(page);
        same(await inEnglish(page), [], 'English');
        same(await axe(page), [], 'axe');
        const over = await overflow(page);
        ensure(
          over.every((x) => x <= 0),
          `it is wider than the screen by ${over.join(' and ')} px`,
        );
        await done();
      } finally {
        fleet.world.cluster.provisioning.blocked_reasons = before;
        fleet.change('cluster', '', fleet.world.cluster);
      }
    });
}
