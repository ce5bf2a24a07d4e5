/** Figures, printed and not judged: how long a panel is blind when its node dies, and how long a change takes to the screen. */
import { check, ensure, type Open } from '../kit';
import { eventually, type Bed } from './bed';
import { live } from './screen';

const at = (sorted: readonly number[], q: number) =>
  `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0)} ms`;

export function measures(open: Open, bed: Bed, kills: number, changes: number): void {
  const names = bed.nodes.map((n) => n.name);
  const first = names[0] ?? '';

  check('the node that serves the panel is killed', async () => {
    const { page, done } = await open('engines?sort=-cpu');
    await page.locator('.t-eng [role=row][data-at="0"]').click();
    await page.waitForSelector('.sheet');
    const took: number[] = [];
    for (let i = 0; i < kills; i++) {
      const served = await live(page);
      const from = performance.now();
      await bed.have(`kill ${served}`);
      const killed = performance.now();
      const next = await live(page, [served]);
      took.push(performance.now() - from);
      console.log(
        `        ${served} killed within ${Math.round(killed - from)} ms, live from ${next} after ${Math.round(took.at(-1) ?? 0)} ms`,
      );
      ensure(
        page.url().includes('sort=-cpu') && (await page.locator('.sheet').isVisible()),
        'the sheet and the order stay',
      );
      await bed.have(`start ${served}`);
      await eventually('the node to be back', () => bed.leader(served));
    }
    took.sort((a, b) => a - b);
    await done();
    return `${kills} times, from the order to kill: p50 ${at(took, 0.5)}, worst ${at(took, 1)}`;
  });

  check('changes reach the screen', async () => {
    const { page, done } = await open('hosts');
    await live(page);
    const name = names.at(-1) ?? '';
    // The change is made through another node than the one that serves the page.
    const through = names.find((n) => n !== first) ?? first;
    const took: number[] = [];
    for (let i = 0; i < changes; i++) {
      const [verb, word] = i % 2 === 0 ? ['cordon', 'Take engines again'] : ['uncordon', 'Cordon'];
      const seen = page.waitForFunction(
        ([host, label]) => {
          const buttons = document.querySelectorAll(`.host[aria-label="${host}"] button`);
          const there = [...buttons].some((b) => b.textContent?.trim() === label);
          return there && performance.timeOrigin + performance.now();
        },
        [name, word] as const,
        { polling: 'raf' },
      );
      await bed.json(through, 'POST', `cluster/nodes/${name}/${verb}`);
      const committed = performance.timeOrigin + performance.now();
      took.push(Math.max(0, Number(await (await seen).jsonValue()) - committed));
    }
    took.sort((a, b) => a - b);
    await done();
    return `${changes} changes, from the answer that it is committed to the frame that has it: p50 ${at(took, 0.5)}, p99 ${at(took, 0.99)}, worst ${at(took, 1)}`;
  });
}
