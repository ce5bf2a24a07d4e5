import { expect, it } from 'vitest';
import { blocks, span, trail } from './position';

it('a line of a minute holds usual positions, a longer one those far behind', () => {
  expect(span([])).toBe(60);
  expect(span([14, null, 60])).toBe(60);
  expect(span([14, 61])).toBe(120);
  expect(span([4000])).toBe(7200);
});

it('a trail spans what is known', () => {
  expect(trail([null, 14, 11, null, 16])).toEqual({ least: 11, most: 16 });
  expect(trail([null])).toEqual({ least: 0, most: 0 });
});

it('blocks begin at the position and end with the line', () => {
  expect(blocks(2, 70)).toEqual([70, 71.3]);
  expect(blocks(500, 95)).toHaveLength(3);
  expect(blocks(null, 70)).toEqual([]);
});
