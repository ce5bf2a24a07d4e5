import { describe, expect, it } from 'vitest';
import { Kept } from './kept';

const row = (key: string, word: string) => ({ key, word });

describe('rows of before', () => {
  it('stay the same objects in the same list while nothing changes', () => {
    const kept = new Kept<{ key: string; word: string }>();
    const first = kept.of([row('a', 'x'), row('b', 'x')]);
    expect(kept.of([row('a', 'x'), row('b', 'x')])).toBe(first);
  });

  it('make place for those that changed, and for those alone', () => {
    const kept = new Kept<{ key: string; word: string }>();
    const [a, b] = kept.of([row('a', 'x'), row('b', 'x')]);
    const next = kept.of([row('c', 'x'), row('a', 'x'), row('b', 'y')]);
    expect(next).toEqual([row('c', 'x'), row('a', 'x'), row('b', 'y')]);
    expect([next[1] === a, next[2] === b]).toEqual([true, false]);
  });

  it('are in the order of now, and gone when they are', () => {
    const kept = new Kept<{ key: string; word: string }>();
    const [a, b] = kept.of([row('a', 'x'), row('b', 'x')]);
    expect(kept.of([row('b', 'x'), row('a', 'x')])).toEqual([b, a]);
    expect(kept.of([row('b', 'x')])).toEqual([b]);
    expect(kept.of([])).toEqual([]);
  });
});
