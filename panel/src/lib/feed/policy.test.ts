import { describe, expect, it } from 'vitest';
import { allows, calm, QUIET_MS } from './policy';

const POLICY =
  "default-src 'self'; connect-src 'self' http://10.0.0.11:8000 http://node-b:80 http://[fd00::1]:8000; frame-ancestors 'none'";
const may = (base: string) => allows(POLICY, 'http://nas:8000/some/', base);

describe('the policy of the page', () => {
  it('names the members of the time when it was loaded', () => {
    for (const base of ['http://10.0.0.11:8000/', 'http://node-b/', 'http://[fd00::1]:8000/', 'http://nas:8000/some/'])
      expect(may(base), base).toBe(true);
    for (const base of ['http://10.0.0.11:8001/', 'http://10.0.0.110:8000/', 'http://nas:8001/'])
      expect(may(base), base).toBe(false);
    expect(allows("default-src 'self'", 'http://nas/', 'http://x/'), 'one that says nothing of it').toBe(true);
  });

  it('is renewed when nobody looks and nothing is lost', () => {
    expect(calm({ hidden: true, quietMs: 0, holds: false })).toBe(true);
    expect(calm({ hidden: false, quietMs: QUIET_MS + 1, holds: false })).toBe(true);
    expect(calm({ hidden: false, quietMs: QUIET_MS - 1, holds: false })).toBe(false);
    expect(calm({ hidden: true, quietMs: QUIET_MS + 1, holds: true })).toBe(false);
  });
});
