import { expect, it } from 'vitest';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { meanwhile, Moved } from './moved';
import type { SettingsChange } from './types';

const change = (revision: number, to: number, by: SettingsChange['by']): SettingsChange => ({
  revision,
  at: '2026-01-01T00:00:00Z',
  node: 'node-b',
  by,
  reverts: null,
  changes: [{ name: 'MAX_REPLICAS', from: 20, to }],
});

it('a conflict says who changed what meanwhile, the oldest first', () => {
  const e = new Moved([change(6, 9, null), change(5, 30, { name: 'API key', address: '10.0.0.9', node: 'node-a' })]);
  expect(meanwhile(e, en)).toBe(
    'It was not done, as other settings are in force by now. API key · 10.0.0.9: MAX_REPLICAS 20 → 30 (revision 5). node-b: MAX_REPLICAS 20 → 9 (revision 6).',
  );
  expect(meanwhile(e, es)).toContain('10.0.0.9: MAX_REPLICAS 20 → 30 (revisión 5).');
});
