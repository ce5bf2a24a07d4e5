import { expect, it } from 'vitest';
import type { LogEntry } from '../api/types';
import { Place } from './place';

const line = (second: number, text: string): LogEntry => ({
  at: `2026-01-01T00:00:0${second}Z`,
  stream: 'stdout',
  text,
});

it('lines that are read again by time come once, also those of one moment', () => {
  const log = [line(1, 'a'), line(2, 'b'), line(2, 'b'), line(2, 'c'), line(2, 'b'), line(3, 'd')];
  for (let read = 0; read <= log.length; read++) {
    const place = new Place();
    for (const l of log.slice(0, read)) place.took(l, null);
    const again = log.filter((l) => place.at === null || l.at >= place.at);
    expect(again.filter(place.behind()), `behind ${read} lines`).toEqual(log.slice(read));
  }
});
