import type { Frame } from './types';
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
  return frame;
}
