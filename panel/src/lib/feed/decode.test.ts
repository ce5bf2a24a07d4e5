import { describe, expect, it } from 'vitest';
import { BadFrame, decode } from './decode';

describe('frames of a node', () => {
  it('have a position if they are events or the greeting', () => {
    expect(decode({ event: 'event', id: '7-3', data: '{}' })).toEqual({ kind: 'event', id: '7-3', data: {} });
    expect(() => decode({ event: 'event', id: null, data: '{}' })).toThrow(BadFrame);
    expect(() => decode({ event: 'hello', id: null, data: '{}' })).toThrow(BadFrame);
  });

  it('have positions that only nodes can read', () => {
    expect(decode({ event: 'hello', id: 'c0ffee-7-3', data: '{}' })).toMatchObject({ id: 'c0ffee-7-3' });
    expect(decode({ event: 'figures', id: '8-3', data: '{}' })).toEqual({ kind: 'figures', id: '8-3', data: {} });
  });

  it('are taken without one if they are changes', () => {
    expect(decode({ event: 'change', id: null, data: '{}' })).toEqual({ kind: 'change', data: {} });
  });

  it('of names that are not known yet are passed over', () => {
    expect(decode({ event: 'later', id: null, data: 'x' })).toBeNull();
  });
});
