/** The removal of a member of the fake cluster, by the rules of nodes. */
import type { components } from '../../src/lib/api/schema';
import { no, ok, type Answer } from './answer';
import { event } from './data';
import type { Fleet } from './fleet';
import { BY } from './settings';

type Preview = components['schemas']['RemovalPreview'];
type Sum = components['schemas']['VoteSum'];

function sum(voters: number, alive: number): Sum {
  const needed = Math.floor(voters / 2) + 1;
  return { voters, alive, needed, may_fail: Math.max(0, alive - needed) };
}

function votesAgainst(name: string, before: Sum, after: Sum, force: boolean): string | null {
  const now = `voters: ${before.voters}, alive ${before.alive}, needed for a majority ${before.needed}`;
  const sums = `${now}; without ${name}: ${after.voters}, alive ${after.alive}, needed ${after.needed}`;
  if (after.voters === 0) return `${name} is the last voter (${now}): add another member before it is removed`;
  if (before.alive < before.needed)
    return `${now}: there is no majority that could remove ${name}, and force cannot make one. Start a voter that is down`;
  if (after.alive < after.needed)
    return `${sums}: the cluster would stop, and force cannot change that. Start a voter that is down first, or remove the dead ones before ${name}`;
  if (after.alive < before.needed && !force)
    return `${sums}: the voters that stay are no majority of the present ones, so ${name} has to vote itself out. Add or start another voter first, or use force`;
  return null;
}

/** What a removal would do; null when there is no such member. */
export function preview(f: Fleet, name: string): Preview | null {
  const n = f.node(name);
  if (!n) return null;
  const lives = (m: typeof n) => m.unavailable_since === null;
  const voters = f.world.nodes.filter((m) => m.role !== 'learner');
  const stay = voters.filter((m) => m !== n);
  const before = sum(voters.length, voters.filter(lives).length);
  const after = sum(stay.length, stay.filter(lives).length);
  const alive = lives(n);
  const engines = f.world.engines.filter((e) => e.node === name).length;
  const queued = f.queued.get(name) ?? 0;
  const refused = (force: boolean): string | null => {
    const against = n.role === 'learner' ? null : votesAgainst(name, before, after, force);
    if (against !== null || !alive || force) return against;
    if (engines > 0)
      return `${name} lives and runs ${engines} containers: drain it first (acefleet drain ${name}, or POST /cluster/nodes/${name}/drain) and wait until none is left, or use force, which drops them and their streams from the registry and leaves the containers on the host`;
    return queued > 0
      ? `${name} has answered ${queued} events that it could not write yet, and they would be lost with it: make sure that it reaches a leader and repeat, or use force`
      : null;
  };
  return {
    node: name,
    alive,
    engines,
    queued_events: queued,
    votes: n.role === 'learner' ? null : { before, after, stop_keeps_majority: after.alive >= before.needed },
    refused: refused(false),
    refused_with_force: refused(true),
  };
}

export function remove(f: Fleet, name: string, force: boolean): Answer {
  const would = preview(f, name);
  if (would === null) return no(404, 'no such node');
  const refused = force ? would.refused_with_force : would.refused;
  if (refused != null) return no(409, refused);
  for (const e of f.world.engines.filter((x) => x.node === name)) f.stopEngine(e.container_id, BY);
  f.remove(name);
  f.say(event('system', 'node_removed', `node ${name} was removed from the cluster`, 0, { by: BY }));
  const { votes } = would;
  return ok({
    removed: name,
    votes: votes && `voters: ${votes.before.voters}, alive ${votes.before.alive}; then ${votes.after.voters}`,
  });
}
