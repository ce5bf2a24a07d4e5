/** Starting and stopping engines and streams. */
import { api, timed, write } from '../api/client';
import type { components } from '../api/schema';
import { seconds, text } from '../format/format';
import { i18n } from '../i18n/i18n.svelte';
import { fleet } from '../store/fleet.svelte';
import type { EngineRow, StreamRow } from '../store/rows';
import { passedOver } from '../told/told';
import { ask } from '../ui/ask.svelte';
import { toasts } from '../ui/toasts.svelte';

type Provision = components['schemas']['AceProvisionRequest'];

const took = (ms: number) => text(seconds(ms / 1000));
const stopCall = (container_id: string) =>
  timed(() => api().DELETE('/containers/{container_id}', { params: { path: { container_id } } }));

/** What the stop of these engines does. Engines that fail or leave count in no floor. */
function stopConsequences(keys: readonly string[]) {
  const t = i18n.t.engines;
  const c = fleet.cluster;
  const streams = keys.reduce((a, k) => a + (fleet.engineByKey.get(k)?.streams ?? 0), 0);
  const counts = (e: EngineRow) => e.word === 'healthy' || e.word === 'starting' || e.word === 'unknown';
  const left = fleet.engines.filter((e) => counts(e) && !keys.includes(e.key)).length;
  return [
    { tone: streams > 0 ? ('warn' as const) : ('ok' as const), text: t.stopStreams(streams, keys.length) },
    ...(c === null ? [] : [{ tone: 'ok' as const, text: t.stopFloor(left, c.capacity.min_replicas, keys.length) }]),
  ];
}

export function stopEngine(e: EngineRow): void {
  const t = i18n.t.engines;
  ask.open({
    title: t.stopTitle(e.name),
    text: `${e.node} · ${t.port} ${e.engine.port}`,
    consequences: () => stopConsequences([e.key]),
    yes: t.stopYes,
    danger: true,
    run: async () => {
      const { data, tookMs } = await stopCall(e.engine.container_id);
      toasts.show(t.stopped(e.name, data.streams, took(tookMs)));
    },
  });
}

export function replaceEngine(e: EngineRow): void {
  const t = i18n.t.engines;
  ask.open({
    title: t.replaceTitle(e.name),
    text: t.replaceText,
    consequences: () => {
      const streams = fleet.engineByKey.get(e.key)?.streams ?? 0;
      return [
        { tone: 'start', text: t.replaceOther },
        { tone: 'ok', text: t.replaceStreams(streams) },
      ];
    },
    yes: t.replaceYes,
    danger: false,
    run: async () => {
      const params = { path: { container_id: e.engine.container_id } };
      const r = await write(() => api().POST('/engines/{container_id}/replace', { params }));
      toasts.show(t.replaced(r.replacing, r.streams));
    },
  });
}

export function stopEngines(keys: string[], done: () => void): void {
  const t = i18n.t.engines;
  const list = keys.flatMap((k) => fleet.engineByKey.get(k) ?? []);
  ask.open({
    title: t.bulkTitle(list.length),
    text: t.bulkText,
    consequences: () => stopConsequences(list.map((e) => e.key)),
    yes: t.bulkYes(list.length),
    danger: true,
    run: async () => {
      const failed: unknown[] = [];
      let streams = 0;
      let ms = 0;
      for (const e of list) {
        await stopCall(e.engine.container_id).then(
          (d) => ((streams += d.data.streams), (ms += d.tookMs)),
          (x: unknown) => failed.push(x),
        );
      }
      if (failed.length === list.length) throw failed[0];
      toasts.show(t.bulkDone(list.length - failed.length, streams, took(ms)));
      if (failed.length > 0) toasts.show(t.bulkFailed(failed.length));
      done();
    },
  });
}

/** Asks where an engine shall start. */
export function startEngine(): void {
  const t = i18n.t.engines;
  const c = fleet.cluster;
  const hosts = fleet.hosts.filter((h) => h.word === 'takes' || h.word === 'passed' || h.word === 'suspect');
  ask.open({
    title: t.startTitle,
    text:
      c === null
        ? ''
        : fleet.leader === null
          ? i18n.t.hosts.subNoLeader
          : t.startRoom(Math.max(0, c.capacity.max_replicas - fleet.engines.length)),
    fields: [
      {
        kind: 'select',
        name: 'node',
        label: t.startWhere,
        options: [
          { value: '', text: t.startAny },
          ...hosts.map((h) => ({
            value: h.key,
            text: t.startHost(h.key, h.engines, h.node.capacity, i18n.t.host[h.word]),
          })),
        ],
      },
    ],
    consequences: () =>
      fleet.hosts.flatMap((h) =>
        h.node.passed_over == null || fleet.leader === null
          ? []
          : [{ tone: h.tone, text: `${h.key} ${passedOver(h.node.passed_over, i18n.t)}` }],
      ),
    yes: t.startYes,
    danger: false,
    run: (v) => start(v.node ?? ''),
  });
}

/** Starts an engine, on the least loaded host when none is named. */
export async function start(node = ''): Promise<void> {
  const body: Provision = node === '' ? {} : { node };
  const { data, tookMs } = await timed(() => api().POST('/provision/acestream', { body }));
  toasts.show(i18n.t.engines.startedAs(data.container_name, took(tookMs)));
}

export function stopStream(s: StreamRow): void {
  const t = i18n.t.streams;
  ask.open({
    title: t.stopTitle,
    text: s.stream.key,
    consequences: () => [{ tone: 'warn', text: t.stopText }],
    yes: t.stopYes,
    danger: true,
    run: async () => {
      const params = { path: { stream_id: s.key } };
      const { tookMs } = await timed(() => api().DELETE('/streams/{stream_id}', { params }));
      toasts.show(t.stopped(took(tookMs)));
    },
  });
}
