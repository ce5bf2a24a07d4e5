import { describe, expect, it } from 'vitest';
import { SseParser } from './sse';

const TEXT =
  'event: hello\ndata: {"a":1}\n\n: beat\nid: 7-3\nevent: change\ndata: x\ndata: y\n\r\nevent: bye\r\ndata: {}\r\n\r\n';

describe('frames', () => {
  const whole = [
    { event: 'hello', id: null, data: '{"a":1}' },
    { event: ':', id: null, data: 'beat' },
    { event: 'change', id: '7-3', data: 'x\ny' },
    { event: 'bye', id: null, data: '{}' },
  ];

  it('are read from one piece', () => {
    expect(new SseParser().push(TEXT)).toEqual(whole);
  });

  it('are the same however the text is cut', () => {
    for (let size = 1; size < TEXT.length; size++) {
      const p = new SseParser();
      const out = [];
      for (let i = 0; i < TEXT.length; i += size) out.push(...p.push(TEXT.slice(i, i + size)));
      expect(out, `pieces of ${size}`).toEqual(whole);
    }
  });

  it('wait for their end', () => {
    const p = new SseParser();
    expect(p.push('event: figures\ndata: {}\n')).toEqual([]);
    expect(p.push('\n')).toEqual([{ event: 'figures', id: null, data: '{}' }]);
  });
});
