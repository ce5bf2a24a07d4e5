/** What frames cost the main thread, from Chromium's own trace: script, style, layout and paint, and whatever ran between frames. */
import type { Browser, CDPSession } from 'playwright-core';
import { Histogram } from './histogram';

const TASKS = 'disabled-by-default-devtools.timeline';
const FRAMES = 'disabled-by-default-devtools.timeline.frame';

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** Microseconds, as all times of a trace. */
  ts: number;
  dur?: number;
  /** Time on a processor, without that in which the thread waited for one. */
  tdur?: number;
}

export class Work {
  /** Time of tasks from the end of one frame to the end of the next. */
  readonly wall = new Histogram();
  /** The same on a processor; less than `wall` where others hold the processors. */
  readonly cpu = new Histogram();
  /** Process that draws the page; null before the first slice. */
  pid: number | null = null;

  private constructor(private readonly session: CDPSession) {}

  static async of(browser: Browser): Promise<Work> {
    return new Work(await browser.newBrowserCDPSession());
  }

  /** Traces for so long and adds up the frames of that time. */
  async slice(ms: number): Promise<void> {
    const events: TraceEvent[] = [];
    const collect = (e: { value: object[] }) => {
      for (const x of e.value as TraceEvent[])
        if (x.name === 'RunTask' || x.name === 'BeginMainThreadFrame') events.push(x);
    };
    this.session.on('Tracing.dataCollected', collect);
    await this.session.send('Tracing.start', {
      transferMode: 'ReportEvents',
      traceConfig: { includedCategories: [TASKS, FRAMES], excludedCategories: ['*'] },
    });
    await new Promise((r) => setTimeout(r, ms));
    const over = new Promise<void>((r) => this.session.once('Tracing.tracingComplete', () => r()));
    await this.session.send('Tracing.end');
    await over;
    this.session.off('Tracing.dataCollected', collect);
    this.add(events);
  }

  private add(events: TraceEvent[]): void {
    const drawn = busiest(events.filter((e) => e.name === 'BeginMainThreadFrame'));
    if (drawn.length === 0) throw new Error('the trace has no frames');
    const { pid, tid } = drawn[0] as TraceEvent;
    this.pid = pid;
    const begins = drawn.map((e) => e.ts).sort((a, b) => a - b);
    const tasks = events.filter((e) => e.name === 'RunTask' && e.pid === pid && e.tid === tid);
    tasks.sort((a, b) => a.ts - b.ts);
    let [wall, cpu, next] = [0, 0, 0];
    for (const t of tasks) {
      const end = t.ts + (t.dur ?? 0);
      wall += (t.dur ?? 0) / 1000;
      cpu += (t.tdur ?? 0) / 1000;
      if ((begins[next] ?? Infinity) > end) continue;
      while ((begins[next] ?? Infinity) <= end) next++;
      // What ran before the first frame began before the trace did.
      if (next > 1) [this.wall, this.cpu].forEach((h, i) => h.add(i === 0 ? wall : cpu));
      [wall, cpu] = [0, 0];
    }
  }
}

/** The events of the thread that has most of them. */
function busiest(events: TraceEvent[]): TraceEvent[] {
  const by = new Map<string, TraceEvent[]>();
  for (const e of events) {
    const k = `${e.pid}/${e.tid}`;
    by.set(k, [...(by.get(k) ?? []), e]);
  }
  return [...by.values()].sort((a, b) => b.length - a.length)[0] ?? [];
}
