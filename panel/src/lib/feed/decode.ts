import { presence } from './presence';
import type { Frame, NodeObject } from './types';
import type { RawFrame } from './sse';

/** A frame that does not follow the contract; the connection is given up then. */
export class BadFrame extends Error {}

/** Reads a raw frame. Names that are not known yet are null: a newer node may send more. */
export function decode(raw: RawFrame): Frame | null {
  if (raw.event === ':') return { kind: 'beat' };
  if (!['hello', 'snapshot', 'change', 'event', 'figures', 'bye'].includes(raw.event)) return null;
  let data: unknown;
  try {
    data = JSON.parse(raw.data);
  } catch {
    throw new BadFrame(`the data of “${raw.event}” is no JSON`);
  }
  if (typeof data !== 'object' || data === null) throw new BadFrame(`the data of “${raw.event}” is no object`);
  const frame = { kind: raw.event, data, ...(raw.id && { id: raw.id }) } as Frame;
  // Without the position of an event nobody could go on behind it. What it says is for nodes alone to read.
  if ((frame.kind === 'hello' || frame.kind === 'event') && !raw.id)
    throw new BadFrame(`“${raw.event}” has no position`);
  return narrowed(frame);
}

const node = (n: NodeObject): NodeObject => ({ ...n, state: presence(n), slow_disk: n.slow_disk === true });

/** Frames of nodes of other versions, as this one sends them. */
function narrowed(f: Frame): Frame {
  if (f.kind === 'hello') return { ...f, data: { ...f.data, key_required: f.data.key_required ?? null } };
  if (f.kind === 'snapshot') {
    if (!Array.isArray(f.data.nodes)) throw new BadFrame('a snapshot has no nodes');
    return { ...f, data: { ...f.data, nodes: f.data.nodes.map(node) } };
  }
  if (f.kind === 'change' && f.data.type === 'node' && f.data.object !== null)
    return { ...f, data: { ...f.data, object: node(f.data.object) } };
  return f;
}
