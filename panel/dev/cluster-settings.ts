/** Cluster-wide settings as docs/CONFIG.md lists them, which is made from the node's own table. */
import { readFileSync } from 'node:fs';
import type { Json, Setting } from '../src/lib/api/types';

export interface Listed {
  name: string;
  default: string;
  accepted: string;
  section: string;
  /** Markdown, as `GET /settings` has it. */
  description: string;
}

/** All of them, in the order of the document. */
export function clusterSettings(): Listed[] {
  const text = readFileSync(new URL('../../docs/CONFIG.md', import.meta.url), 'utf8');
  let section = '';
  return text.split('\n').flatMap((line) => {
    section = /^### (.+)$/.exec(line)?.[1] ?? section;
    const row = /^\| `(\w+)` \| `([^`]*)` \| (.+?) \| \*Cluster-wide\.\* (.+?)(?: Example: `[^`]*`\.)? \|$/.exec(line);
    const [, name, of, accepted, description] = row ?? [];
    if (name === undefined || of === undefined || accepted === undefined || description === undefined) return [];
    return [{ name, default: of, accepted, section, description }];
  });
}

const TYPES: [start: string, type: Setting['type']][] = [
  ['a whole number', 'integer'],
  ['seconds', 'number'],
  ['true or false', 'boolean'],
  ['two ports', 'ports'],
  ['KEY=VALUE', 'label'],
];
export const typeOf = (s: Listed): Setting['type'] =>
  TYPES.find(([start]) => s.accepted.startsWith(start))?.[1] ?? 'label';

export function valueOf(s: Listed): Json {
  const type = typeOf(s);
  if (type === 'boolean') return s.default === 'true';
  return type === 'integer' || type === 'number' ? Number(s.default) : s.default;
}

export function unitOf(s: Listed): string | null {
  if (s.name.includes('REPLICAS')) return 'engines';
  if (s.name.includes('THRESHOLD')) return 'failures';
  return typeOf(s) === 'number' ? 's' : null;
}

/** What is in force at first: some of it is no default. */
export const firstSettings = (): Record<string, Json> => ({
  ...Object.fromEntries(clusterSettings().map((s) => [s.name, valueOf(s)])),
  MIN_REPLICAS: 20,
  MIN_FREE_REPLICAS: 1,
  MAX_REPLICAS: 60,
});
