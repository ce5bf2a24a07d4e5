import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withPicture } from './picture';

describe('work for the next picture', () => {
  let pictures: Map<number, () => void>;
  const draw = () => [...pictures.values()].forEach((f) => f());
  beforeEach(() => {
    vi.useFakeTimers();
    pictures = new Map();
    let id = 0;
    vi.stubGlobal('requestAnimationFrame', (f: () => void) => (pictures.set(++id, f), id));
    vi.stubGlobal('cancelAnimationFrame', (n: number) => pictures.delete(n));
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('runs with it, once', () => {
    const run = vi.fn();
    withPicture(run);
    expect(run).toHaveBeenCalledTimes(0);
    draw();
    vi.runAllTimers();
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('runs soon when the page was hidden and none comes', () => {
    const run = vi.fn();
    withPicture(run);
    vi.advanceTimersByTime(250);
    expect(run).toHaveBeenCalledTimes(1);
    draw();
    expect(run).toHaveBeenCalledTimes(1);
  });
});
