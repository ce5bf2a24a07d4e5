/** Containers whose logs can be read: engines, and the VPNs of hosts. */
import { byName } from '../format/order';
import type { Words } from '../i18n/en';
import type { EngineRow, VpnRow } from './rows';
import type { Tone } from './status';

export interface Source {
  /** What the call for its log names it by: the id of an engine's container, `node/container` of a VPN. */
  id: string;
  kind: 'engine' | 'vpn';
  name: string;
  node: string;
  tone: Tone;
  word: string;
}

/** Those with something wrong first, then by name. */
export function sources(engines: readonly EngineRow[], vpns: readonly VpnRow[], w: Words): Source[] {
  const all: Source[] = [
    ...vpns.map((v) => ({
      id: v.key,
      kind: 'vpn' as const,
      name: v.name,
      node: v.vpn.node,
      tone: v.tone,
      word: w.vpnState[v.word],
    })),
    ...engines.map((e) => ({
      id: e.engine.container_id,
      kind: 'engine' as const,
      name: e.name,
      node: e.node,
      tone: e.tone,
      word: w.engine[e.word],
    })),
  ];
  return all
    .filter((s) => s.id !== '')
    .sort((a, b) => Number(a.tone === 'ok') - Number(b.tone === 'ok') || byName(a.name, b.name));
}
