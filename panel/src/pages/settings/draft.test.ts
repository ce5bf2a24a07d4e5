import { describe, expect, it } from 'vitest';
import type { Setting } from '../../lib/api/types';
import { body, invalid } from './draft';

const setting = (name: string, type: Setting['type'], value: Setting['value']): Setting =>
  ({ name, type, value, minimum: type === 'integer' ? 1 : null, maximum: null }) as Setting;
const list = [setting('A', 'integer', 5), setting('B', 'boolean', false), setting('C', 'integer', 7)];

describe('a draft', () => {
  it('names its fields that are not accepted from the top on, and makes no change', () => {
    const draft = { C: '0', B: 'true', A: 'many' };
    expect(invalid(list, draft)).toEqual(['A', 'C']);
    expect(body(list, draft)).toBeNull();
  });
  it('is a change of what differs, with booleans as they are written everywhere', () => {
    expect(body(list, { A: '6', B: 'true', C: '7' })).toEqual({ A: 6, B: true });
  });
});
