/** Problems as sentences. */
import { ms, sentence, text } from '../../lib/format/format';
import type { Words } from '../../lib/i18n/en';
import { blocked, clause, told } from '../../lib/told/told';
import type { Problem } from '../../lib/store/attention';

type T = Words['attention'];

export function headline(p: Problem, t: T): string {
  switch (p.kind) {
    case 'no_leader':
      return t.no_leader;
    case 'host_away':
      return p.down ? t.host_down(p.host) : t.host_away(p.host);
    case 'host_stopped':
      return t.host_stopped(p.host);
    case 'host_suspect':
      return t.host_suspect(p.host);
    case 'docker':
      return t.docker(p.host);
    case 'vpn_down':
      return t.vpn_down(p.vpn, p.host);
    case 'engine':
      return t.engine(p.name, p.host);
    case 'engines':
      return t.engines(p.engines);
    case 'breaker':
      return p.which === 'general' ? t.breaker_general : t.breaker_replacement;
    case 'blocked':
      return t.blocked;
    case 'left_behind':
      return t.left_behind(p.containers, p.host);
    case 'stalled':
      return t.stalled(p.streams);
    case 'disk':
      return t.disk(p.host);
  }
}

/** Why, as the node says it, then what it means. */
export function cause(p: Problem, w: Words, silent: string): string {
  return [sentence(why(p, w)), meaning(p, w.attention, silent)].filter(Boolean).join(' ');
}

function why(p: Problem, w: Words): string {
  if (p.kind === 'breaker') return p.failure === null ? '' : told(p.failure, w);
  if (!('why' in p) || p.why === null) return '';
  return p.kind === 'blocked' ? blocked({ code: p.code, message: p.why }, w) : clause(p.why, w);
}

function meaning(p: Problem, t: T, silent: string): string {
  switch (p.kind) {
    case 'no_leader':
      return t.no_leaderWhy(p.answering, p.voters, p.needed);
    case 'host_away':
      return p.why ? '' : t.host_awayWhy(p.engines, p.since !== null);
    case 'host_stopped':
      return t.host_stoppedWhy(p.mayFail);
    case 'host_suspect':
      return t.host_suspectWhy(silent);
    case 'docker':
      return t.dockerWhy;
    case 'vpn_down':
      return t.vpn_downWhy(p.engines);
    case 'engine':
      return t.engineWhy(p.streams);
    case 'engines':
      return t.enginesWhy(p.names);
    case 'breaker':
      return p.state === 'half_open' ? t.breakerHalf : '';
    case 'stalled':
      return t.stalledWhy(p.engine);
    case 'disk':
      return t.diskWhy(text(ms(p.ms)));
    case 'blocked':
    case 'left_behind':
      return '';
  }
}
