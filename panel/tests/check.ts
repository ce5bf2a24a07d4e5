/** Runs checks one after the other and tells how each went. */
type Check = [name: string, run: () => Promise<unknown>];

const checks: Check[] = [];

export const check = (name: string, run: () => Promise<unknown>): void => void checks.push([name, run]);

export function ensure(ok: unknown, what: string): asserts ok {
  if (!ok) throw new Error(what);
}

export function same(got: unknown, want: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

/** Gives the number of checks that failed; `only` is an expression that their names fit. */
export async function runAll(only: string): Promise<number> {
  let failed = 0;
  for (const [name, run] of checks.filter(([n]) => new RegExp(only).test(n))) {
    const from = performance.now();
    try {
      const note = await run();
      console.log(
        `ok      ${name}${typeof note === 'string' ? ` (${note})` : ''}, ${Math.round(performance.now() - from)} ms`,
      );
    } catch (e) {
      failed++;
      console.log(
        `FAILED  ${name}\n        ${e instanceof Error ? e.message.split('\n').slice(0, 12).join('\n        ') : String(e)}`,
      );
    }
  }
  console.log(failed === 0 ? 'all passed' : `${failed} failed`);
  return failed;
}
