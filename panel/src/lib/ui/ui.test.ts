import { describe, expect, it } from 'vitest';
import { level, pieces } from '../logs/line';
import { hits, merge, pattern, toLine } from '../logs/merge';
import { compare, hold, type Column } from './columns';
import { bounds, curve } from './curve';
import { choices, filter, type Facet } from './facets';

interface Row {
  key: string;
  host: string;
  cpu: number | null;
}
const rows: Row[] = [
  { key: 'e-2', host: 'a', cpu: 5 },
  { key: 'e-10', host: 'b', cpu: null },
  { key: 'e-1', host: 'a', cpu: 9 },
];
const columns: Column<Row>[] = [
  { id: 'key', label: '', by: (r) => r.key },
  { id: 'cpu', label: '', by: (r) => r.cpu },
];
const keys = (l: readonly Row[]) => l.map((r) => r.key);

describe('order', () => {
  it('counts numbers in names', () => expect(keys(compare(rows, columns, 'key'))).toEqual(['e-1', 'e-2', 'e-10']));
  it('has the unknown last both ways', () => {
    expect(keys(compare(rows, columns, 'cpu'))).toEqual(['e-2', 'e-1', 'e-10']);
    expect(keys(compare(rows, columns, '-cpu'))).toEqual(['e-1', 'e-2', 'e-10']);
  });
  it('is left alone for an unknown column', () => expect(keys(compare(rows, columns, 'nothing'))).toEqual(keys(rows)));
  it('is held for the rows of before, and new ones follow', () => {
    const places = new Map([
      ['e-1', 0],
      ['gone', 1],
      ['e-2', 2],
    ]);
    expect(keys(hold(rows, places))).toEqual(['e-1', 'e-2', 'e-10']);
  });
});

describe('facets', () => {
  const host: Facet<Row> = { id: 'host', label: '', of: (r) => r.host, text: (v) => v };
  const load: Facet<Row> = { id: 'load', label: '', of: (r) => (r.cpu === null ? 'none' : 'some'), text: (v) => v };
  const chosen = new Map([['host', new Set(['a'])]]);
  it('filter, with words', () => {
    expect(keys(filter(rows, [host, load], chosen, '', (r) => r.key))).toEqual(['e-2', 'e-1']);
    expect(keys(filter(rows, [host, load], chosen, '2', (r) => r.key))).toEqual(['e-2']);
  });
  it('count what others leave', () => {
    expect(choices(rows, [host, load], host, chosen).map((c) => [c.value, c.count])).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
    expect(choices(rows, [host, load], load, chosen).map((c) => [c.value, c.count])).toEqual([
      ['none', 0],
      ['some', 2],
    ]);
  });
});

describe('curves', () => {
  it('leave gaps where nothing is known', () =>
    expect(curve([1, 2, null, 3, 4], 10, 10, 1).line.match(/M/g)).toHaveLength(2));
  it('are nothing without values', () => expect(curve([null, null], 10, 10, 1).line).toBe(''));
  /** The part of the height that a curve takes. */
  const height = (values: number[], least: number): number => {
    const ys = [...curve(values, 10, 100, least).line.matchAll(/ ([\d.]+)/g)].map((m) => Number(m[1]));
    return (Math.max(...ys) - Math.min(...ys)) / 100;
  };
  it('are flat where only noise moves them, and tall where much does', () => {
    expect(height([3.01, 3.02, 3.01], 0)).toBeLessThan(0.02);
    expect(height([0.1, 0.3, 0.1], 10)).toBeLessThan(0.03);
    expect(height([0, 50, 100], 10)).toBeGreaterThan(0.8);
    expect(height([100, 140, 100], 10)).toBeGreaterThan(0.8);
  });
  it('lie at the foot when nothing happens, and within the height', () => {
    expect(curve([0, 0], 10, 100, 4).line).toBe('M0.0 100.0L10.0 100.0');
    expect(bounds([500, 900], 1)?.map(Math.round)).toEqual([470, 930]);
  });
});

describe('logs', () => {
  const at = (s: number, text: string, from = 'a') =>
    toLine(from, { at: new Date(s * 1000).toISOString(), stream: 'stdout', text });
  it('are merged by time', () => {
    const l = merge(merge([], [at(1, 'x'), at(5, 'z')]), [at(3, 'y', 'b')]);
    expect(l.map((x) => x.text)).toEqual(['x', 'y', 'z']);
  });
  it('know levels', () => expect(['[ERROR] a', 'WARN b', 'debug: c', 'd'].map(level)).toEqual(['E', 'W', 'D', 'I']));
  it('keep colours and drop other escapes', () => {
    expect(pieces('a\u001b[31mred\u001b[0m b\u001b[2K')).toEqual([
      { text: 'a', cls: '' },
      { text: 'red', cls: 'a1' },
      { text: ' b', cls: '' },
    ]);
  });
  it('are searched, by words and expressions', () => {
    expect(hits('a.b axb', pattern('a.b', false) as RegExp).filter((h) => h.hit)).toHaveLength(1);
    expect(hits('a.b axb', pattern('a.b', true) as RegExp).filter((h) => h.hit)).toHaveLength(2);
    expect(pattern('(', true)).toBe('invalid');
    expect(pattern('x*', true)).toBe('invalid');
  });
});
