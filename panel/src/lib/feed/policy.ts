/** Which addresses the page may ask, and when it may be loaded again to ask others. */

/** Null for what is no address, as `'self'`. */
function originOf(source: string): string | null {
  try {
    return new URL(source).origin;
  } catch {
    return null;
  }
}

/** Whether a page from `own` with this Content-Security-Policy may ask an address. */
export function allows(policy: string, own: string, base: string): boolean {
  const directives = policy.split(';').map((d) => d.trim().split(/\s+/));
  const sources = directives.find(([name]) => name === 'connect-src')?.slice(1);
  const { origin } = new URL(base);
  return sources === undefined || origin === new URL(own).origin || sources.some((s) => originOf(s) === origin);
}

/** Nobody seems to look after so long without a key or a pointer, in milliseconds: a screen on a wall. */
export const QUIET_MS = 10 * 60_000;

/** Whether loading the page again disturbs nobody; `holds` is true while it has something that would be lost. */
export const calm = (p: { hidden: boolean; quietMs: number; holds: boolean }): boolean =>
  !p.holds && (p.hidden || p.quietMs > QUIET_MS);
