import { afterEach, describe, expect, it } from 'vitest';
import { age, bytes, full, id, ms, num, rate, setLocale, shortAge, text } from './format';

const plain = (s: string) => s.replaceAll('\u00a0', ' ');

afterEach(() => setLocale('en'));

describe('quantities', () => {
  it('turn KB/s into Mbit/s', () => {
    expect(plain(text(rate(800)))).toBe('6.6 Mbit/s');
    expect(plain(text(rate(90_000)))).toBe('737 Mbit/s');
  });
  it('tell unknown from zero', () => {
    expect(text(rate(null))).toBe('–');
    expect(plain(text(rate(0)))).toBe('0.0 Mbit/s');
    expect([num(undefined), age(null), id(null), text(bytes(null)), text(ms(null))]).toEqual(['–', '–', '–', '–', '–']);
  });
  it('have binary sizes', () => {
    expect(plain(text(bytes(512 * 1024 ** 2)))).toBe('512 MiB');
    expect(plain(text(bytes(5.25 * 1024 ** 3)))).toBe('5.3 GiB');
  });
  it('are written as the language does', () => {
    setLocale('es');
    expect(plain(text(rate(800)))).toBe('6,6 Mbit/s');
  });
});

describe('ages', () => {
  it('have two units at the most', () => {
    expect([0, 59, 130, 3600, 15_000, 1_051_200].map((s) => plain(age(s)))).toEqual([
      '0 s',
      '59 s',
      '2 min 10 s',
      '1 h',
      '4 h 10 min',
      '12 d 4 h',
    ]);
  });
  it('never run backwards', () => expect(plain(age(-3))).toBe('0 s'));
  it('are short in narrow columns', () => expect(plain(shortAge(130))).toBe('2 min'));
});

describe('dates', () => {
  it('are written as the language does', () => {
    expect(full('2026-01-02T12:00:00')).toContain('Friday, January 2, 2026');
    setLocale('es');
    expect(full('2026-01-02T12:00:00')).toContain('viernes, 2 de enero de 2026');
  });
  it('are unknown when they are none', () => expect([full(null), full('never')]).toEqual(['–', '–']));
});

describe('ids', () => {
  it('show their ends, and no session', () => {
    expect(id(`3b1c9e0f${'0'.repeat(28)}1357|c81f`)).toBe('3b1c9e0f…1357');
    expect(id('short')).toBe('short');
  });
});
