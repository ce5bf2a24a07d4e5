/** Columns and filters of the table of engines. */
import type { Words } from '../../lib/i18n/en';
import type { EngineRow } from '../../lib/store/rows';
import type { Tables } from '../../lib/store/tables';
import type { EngineWord } from '../../lib/store/status';
import type { Column } from '../../lib/ui/columns';
import type { Facet } from '../../lib/ui/facets';

/** Worst first. */
const RANK: EngineWord[] = [
  'unhealthy',
  'host_away',
  'vpn_down',
  'unlisted',
  'stopping',
  'leaving',
  'starting',
  'unknown',
  'healthy',
];

export function columns(w: Words, tables: Tables): Column<EngineRow>[] {
  const t = w.engines;
  const f = (r: EngineRow) => tables.engineFigures.get(r.key);
  return [
    { id: 'health', label: t.health, by: (r) => RANK.indexOf(r.word) },
    { id: 'engine', label: t.engine, by: (r) => r.name },
    { id: 'host', label: t.host, by: (r) => r.node },
    { id: 'hour', label: t.hour, cls: 'c2' },
    { id: 'streams', label: t.streams, by: (r) => r.streams },
    { id: 'vpn', label: t.vpn, cls: 'c3', by: (r) => r.vpn },
    { id: 'cpu', label: t.cpu, cls: 'c2', by: (r) => f(r)?.cpu_percent ?? null },
    { id: 'port', label: t.port, num: true, by: (r) => r.engine.port },
    { id: 'memory', label: t.memory, cls: 'c3', by: (r) => f(r)?.memory_bytes ?? null },
    { id: 'age', label: t.age, cls: 'c2', num: true, by: (r) => Date.now() - Date.parse(r.engine.first_seen) },
  ];
}

const variant = (r: EngineRow) => [r.engine.engine_variant, r.engine.version].filter(Boolean).join(' · ');

export function facets(w: Words): Facet<EngineRow>[] {
  const t = w.engines;
  return [
    { id: 'health', label: t.health, of: (r) => r.word, text: (v) => w.engine[v as EngineWord] ?? v },
    { id: 'host', label: t.host, of: (r) => r.node || '-', text: (v) => v },
    { id: 'vpn', label: t.vpn, of: (r) => r.vpn ?? '-', text: (v) => (v === '-' ? t.noVpn : v) },
    {
      id: 'use',
      label: t.use,
      of: (r) => (r.streams > 0 ? 'used' : 'free'),
      text: (v) => (v === 'used' ? t.inUse : t.free),
    },
    { id: 'variant', label: t.variant, of: (r) => variant(r) || '-', text: (v) => (v === '-' ? w.common.unknown : v) },
  ];
}

/** What the words that are typed are looked for in. */
export const words =
  (w: Words) =>
  (r: EngineRow): string =>
    `${r.name} ${r.engine.port} ${r.node} ${r.vpn ?? ''} ${w.engine[r.word]} ${r.engine.container_id} ${variant(r)}`;
