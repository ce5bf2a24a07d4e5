/** A change of settings that was not made, as others were quicker. */
import type { Words } from '../i18n/en';
import { num } from '../format/format';
import { credential } from '../told/told';
import type { ChangedSetting, SettingsChange } from './types';

export class Moved extends Error {
  constructor(
    /** What others changed meanwhile, newest first; never empty. */
    readonly meanwhile: SettingsChange[],
  ) {
    super('other settings are in force by now');
  }
}

/** What a setting was and is. */
export const changed = (c: ChangedSetting): string => `${c.name} ${c.from ?? '–'} → ${c.to ?? '–'}`;

/** Who changed what, the oldest change first. */
export function meanwhile(e: Moved, t: Words): string {
  const each = e.meanwhile.map((c) =>
    t.settings.movedBy(
      c.by ? `${credential(c.by.name, t)} · ${c.by.address ?? c.by.node}` : c.node,
      c.changes.map(changed).join(', '),
      num(c.revision),
    ),
  );
  return `${t.settings.moved} ${each.reverse().join(' ')}`;
}
