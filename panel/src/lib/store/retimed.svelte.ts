/** Events keep the times that they were told with. When the cluster corrects its time of day, those of the newest are asked again. */
import { fleet } from './fleet.svelte';
import { pastEvents } from './past';

/** A smaller correction changes no time that anybody reads, in milliseconds. */
const NOTICED_MS = 1000;
/** A correction is about the events of seconds. */
const NEWEST = 1000;

/** Watches while the component that calls this lives. */
export function watchTimes(): void {
  let known: number | null = null;
  $effect(() => {
    const offset = fleet.cluster?.time_offset_ms ?? null;
    if (offset === null) return;
    const before = known ?? offset;
    known = offset;
    if (Math.abs(offset - before) < NOTICED_MS) return;
    pastEvents({ limit: NEWEST }).then(
      (events) => fleet.retime(events),
      // The next picture of the cluster asks again.
      () => (known = before),
    );
  });
}
