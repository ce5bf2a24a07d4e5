/** What has become of a member, narrowed where its record comes in: nodes of other versions say it otherwise, or not at all. */
import type { components } from '../api/schema';

export type Presence = components['schemas']['Presence'] | 'unknown';

const KNOWN: Record<Presence, true> = {
  up: true,
  stopping: true,
  stopped: true,
  unavailable: true,
  down: true,
  unknown: true,
};
const isKnown = (word: string): word is Presence => Object.hasOwn(KNOWN, word);

/** A record of a node as any version sends it. */
export interface SentNode {
  state?: string | null;
  down_since?: string | null;
  unavailable_since?: string | null;
}

/** The earlier version sends no word, and says the same by two times; what a newer one calls by a new word is unknown. */
export function presence(n: SentNode): Presence {
  if (n.state != null) return isKnown(n.state) ? n.state : 'unknown';
  if (n.down_since != null) return 'down';
  return n.unavailable_since != null ? 'unavailable' : 'up';
}
