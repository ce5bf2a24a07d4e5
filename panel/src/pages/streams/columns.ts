/** Columns, filters and the usual order of the tables of streams. */
import { id } from '../../lib/format/format';
import type { Words } from '../../lib/i18n/en';
import type { StreamRow } from '../../lib/store/rows';
import type { StreamWord } from '../../lib/store/status';
import { ended, keyType } from '../../lib/told/told';
import type { Column } from '../../lib/ui/columns';
import type { Facet } from '../../lib/ui/facets';

const RANK: StreamWord[] = ['stalled', 'buffering', 'found', 'playing', 'ended'];
const at = (iso: string | null | undefined) => (iso ? Date.parse(iso) : null);

/** Problems first, then by download. */
export const usual = (rows: readonly StreamRow[]): readonly StreamRow[] =>
  [...rows].sort(
    (a, b) =>
      Number(b.word === 'stalled') - Number(a.word === 'stalled') ||
      (b.figures?.speed_down ?? -1) - (a.figures?.speed_down ?? -1),
  );

export const engineName = (r: StreamRow): string => r.engine?.name ?? r.stream.engine ?? id(r.stream.container_id);

/** What it is called. The cluster sees a client that no event reports, and not what it plays. */
export const streamName = (r: StreamRow, w: Words): string =>
  r.stream.found === true ? w.streams.unreported : id(r.stream.key);

export function liveColumns(w: Words): Column<StreamRow>[] {
  const t = w.streams;
  return [
    { id: 'state', label: t.state, by: (r) => RANK.indexOf(r.word) },
    { id: 'stream', label: t.stream, by: (r) => r.stream.key },
    { id: 'engine', label: t.engine, by: engineName },
    { id: 'host', label: t.host, by: (r) => r.node },
    { id: 'down', label: t.down, num: true, by: (r) => r.figures?.speed_down ?? null },
    { id: 'up', label: t.up, cls: 'c2', num: true, by: (r) => r.figures?.speed_up ?? null },
    { id: 'peers', label: t.peers, num: true, by: (r) => r.figures?.peers ?? null },
    { id: 'received', label: t.received, cls: 'c3', num: true, by: (r) => r.figures?.downloaded ?? null },
    { id: 'playing', label: t.playing, cls: 'c4', num: true, by: (r) => -(at(r.stream.started_at) ?? 0) },
  ];
}

const lasted = (r: StreamRow) => (at(r.stream.ended_at) ?? 0) - (at(r.stream.started_at) ?? 0);

export function endedColumns(w: Words): Column<StreamRow>[] {
  const t = w.streams;
  return [
    { id: 'ended', label: t.endedAt, num: true, by: (r) => at(r.stream.ended_at) },
    { id: 'stream', label: t.stream, by: (r) => r.stream.key },
    { id: 'reason', label: t.reason, by: (r) => ended(r.stream.end_reason ?? 'unknown', w) },
    { id: 'engine', label: t.engine, by: engineName },
    { id: 'host', label: t.host, cls: 'c2', by: (r) => r.node },
    { id: 'lasted', label: t.lasted, num: true, by: lasted },
    { id: 'received', label: t.received, cls: 'c2', num: true, by: (r) => r.stream.downloaded ?? null },
  ];
}

export function facets(w: Words): Facet<StreamRow>[] {
  const t = w.streams;
  return [
    { id: 'state', label: t.state, of: (r) => r.word, text: (v) => w.stream[v as StreamWord] ?? v },
    { id: 'host', label: t.host, of: (r) => r.node || '-', text: (v) => (v === '-' ? t.outside : v) },
    { id: 'key', label: t.key, of: (r) => r.stream.key_type, text: (v) => keyType(v, w) },
  ];
}

export const words =
  (w: Words) =>
  (r: StreamRow): string =>
    `${r.stream.key} ${r.stream.playback_session_id} ${engineName(r)} ${r.node} ${w.stream[r.word]} ${r.stream.end_reason == null ? '' : ended(r.stream.end_reason, w)}`;
