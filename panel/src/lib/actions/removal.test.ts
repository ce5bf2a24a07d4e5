import { describe, expect, it } from 'vitest';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { forceHelps, refusal, removal, type Removal } from './removal';

const vote = (voters: number, alive: number) => {
  const needed = Math.floor(voters / 2) + 1;
  return { voters, alive, needed, may_fail: Math.max(0, alive - needed) };
};
const would = (more: Partial<Removal>): Removal => ({
  node: 'b',
  alive: true,
  engines: 0,
  queued_events: 0,
  refused: null,
  refused_with_force: null,
  votes: { before: vote(3, 3), after: vote(2, 2), stop_keeps_majority: true },
  ...more,
});
const texts = (r: Removal, w = en) => removal(r, w).map((c) => `${c.tone} ${c.text}`);

describe('a removal', () => {
  it('tells the votes before and after, and how many may fail', () => {
    expect(texts(would({}))).toEqual([
      'ok Now 3 of 3 voters answer and 2 are needed: 1 may fail.',
      'warn After that 2 of 2 voters answer and 2 are needed: none may fail.',
      `ok ${en.hosts.removeNoEngines}`,
      `warn ${en.hosts.removeBack}`,
    ]);
    expect(texts(would({}), es)).toContain(
      'warn Después responden 2 de 2 votantes y hacen falta 2: no puede fallar ninguno.',
    );
  });

  it('is refused until it is forced, where force helps', () => {
    const r = would({ engines: 2, queued_events: 1, refused: 'b lives and runs 2 containers' });
    expect(forceHelps(r)).toBe(true);
    expect(refusal(r, false, en)).toBe('It would be refused. B lives and runs 2 containers.');
    expect(refusal(r, true, en)).toBeNull();
    expect(texts(r)).toContain(`bad ${en.hosts.removeEngines(2)}`);
    expect(texts(r)).toContain(`bad ${en.hosts.removeQueued(1)}`);
  });

  it('offers no force where that would be refused as well', () => {
    const r = would({ refused: 'no majority', refused_with_force: 'no majority' });
    expect(forceHelps(r)).toBe(false);
    for (const force of [false, true])
      expect(refusal(r, force, en)).toBe('It would be refused, by force too. No majority.');
  });

  it('counts no votes of a member without one', () => {
    expect(texts(would({ votes: null }))).toEqual([`ok ${en.hosts.removeNoEngines}`, `warn ${en.hosts.removeBack}`]);
  });

  it('forgets the engines of a member that is down', () => {
    expect(texts(would({ alive: false, engines: 1 }))).toContain(`bad ${en.hosts.removeLost(1)}`);
  });
});
