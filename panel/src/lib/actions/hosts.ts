/** What can be done to a host: what is asked before, what is said after. */
import { api, read, write } from '../api/client';
import { i18n } from '../i18n/i18n.svelte';
import { fleet } from '../store/fleet.svelte';
import type { HostRow } from '../store/rows';
import { ask } from '../ui/ask.svelte';
import { toasts } from '../ui/toasts.svelte';
import { forceHelps, refusal, removal } from './removal';

const params = (name: string) => ({ params: { path: { name } } });

const uncordonCall = (name: string) => write(() => api().POST('/cluster/nodes/{name}/uncordon', params(name)));
const cordonCall = (name: string) => write(() => api().POST('/cluster/nodes/{name}/cordon', params(name)));
const leadCall = (name: string) => write(() => api().POST('/cluster/nodes/{name}/lead', params(name)));

export async function cordon(name: string): Promise<void> {
  await cordonCall(name);
  toasts.show(i18n.t.hosts.cordoned(name), () => uncordonCall(name));
}

export async function uncordon(name: string): Promise<void> {
  await uncordonCall(name);
  toasts.show(i18n.t.hosts.uncordoned(name), () => cordonCall(name));
}

/** Minutes that a drain may last. */
const DEADLINES = [15, 60, 120, 360];

/** Engines that hosts other than this one have room for. */
function roomElsewhere(name: string): number {
  return fleet.hosts
    .filter((h) => h.key !== name && h.word === 'takes')
    .reduce((a, h) => a + Math.max(0, (h.node.capacity ?? 0) - h.engines), 0);
}

export function drain(h: HostRow): void {
  const t = i18n.t.hosts;
  const name = h.key;
  ask.open({
    title: t.drainTitle(name),
    text: t.drainText,
    fields: [
      {
        kind: 'select',
        name: 'minutes',
        label: t.drainDeadline,
        options: [
          { value: '', text: t.drainNever },
          ...DEADLINES.map((m) => ({ value: String(m), text: t.drainMinutes(m) })),
        ],
      },
    ],
    consequences: (v) => {
      const room = roomElsewhere(name);
      return [
        v.minutes ? { tone: 'warn', text: t.drainCut } : { tone: 'ok', text: t.drainNoCut },
        h.leads ? { tone: 'warn', text: t.drainLeads(name) } : { tone: 'ok', text: t.drainKeeps },
        { tone: room < h.engines ? 'warn' : 'ok', text: t.drainRoom(Math.min(room, h.engines), h.engines) },
      ];
    },
    yes: t.drainYes,
    danger: false,
    run: async (v) => {
      const body = v.minutes ? { deadline_seconds: Number(v.minutes) * 60 } : {};
      await write(() => api().POST('/cluster/nodes/{name}/drain', { ...params(name), body }));
      toasts.show(t.drainStarted(name), () => uncordonCall(name));
    },
  });
}

/** Asks the node what a removal would do, and shows that before it is done; throws when there is no answer. */
export async function remove(name: string): Promise<void> {
  const t = i18n.t.hosts;
  const would = await read(() => api().GET('/cluster/nodes/{name}/removal', params(name)));
  ask.open({
    title: t.removeTitle(name),
    text: would.votes ? t.removeVotes(would.votes.before.voters, would.votes.after.voters) : t.removeNoVote,
    fields: forceHelps(would) ? [{ kind: 'check', name: 'force', label: t.removeForce }] : [],
    consequences: () => removal(would, i18n.t),
    barred: (v) => refusal(would, v.force === '1', i18n.t),
    yes: t.removeYes,
    danger: true,
    run: async (v) => {
      const query = v.force === '1' ? { force: true } : {};
      await write(() => api().DELETE('/cluster/nodes/{name}', { params: { path: { name }, query } }));
      toasts.show(t.removed(name));
    },
  });
}

/** Lets a member lead; nobody waits for longer than a write takes, so nothing is asked before. */
export async function lead(name: string): Promise<void> {
  const before = fleet.leader;
  await leadCall(name);
  toasts.show(i18n.t.cluster.leadsNow(name), before === null || before === name ? null : () => leadCall(before));
}

export async function adopt(name: string): Promise<void> {
  const list = await write(() => api().POST('/cluster/nodes/{name}/adopt', params(name)));
  toasts.show(i18n.t.attention.adopted(list.filter((x) => x.refused == null).length));
}

export async function resetBreaker(which: 'general' | 'replacement'): Promise<void> {
  await write(() => api().POST('/health/circuit-breaker/reset', { params: { query: { operation_type: which } } }));
  toasts.show(i18n.t.attention.resetDone);
}
