/** What the page holds after a collection of garbage. */
import { readFileSync } from 'node:fs';
import type { CDPSession } from 'playwright-core';

export interface Memory {
  heapMiB: number;
  nodes: number;
  listeners: number;
  /** Of the process that draws the page. */
  rssMiB: number;
}

export async function memory(client: CDPSession, pid: number): Promise<Memory> {
  await client.send('HeapProfiler.collectGarbage');
  await client.send('Performance.enable');
  const { metrics } = await client.send('Performance.getMetrics');
  const of = (name: string) => metrics.find((m) => m.name === name)?.value ?? NaN;
  const kB = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return {
    heapMiB: of('JSHeapUsedSize') / 1048576,
    nodes: of('Nodes'),
    listeners: of('JSEventListeners'),
    rssMiB: kB / 1024,
  };
}

export const said = (m: Memory): string =>
  `heap ${m.heapMiB.toFixed(1)} MiB, ${m.nodes} nodes, ${m.listeners} listeners, RSS ${m.rssMiB.toFixed(0)} MiB`;
