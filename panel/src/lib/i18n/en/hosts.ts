/** English: hosts and VPNs. */
import { num } from '../../format/format';
import { agree, ofEngines, plural, someEngines, someStreams, someHosts } from './count';

export type Votes = { voters: number; alive: number; needed: number; may_fail: number };

const votes = (v: Votes) =>
  `${num(v.alive)} of ${plural(v.voters, 'voter', 'voters')} ${v.alive === 1 ? 'answers' : 'answer'} and ${num(v.needed)} ${v.needed === 1 ? 'is' : 'are'} needed: ${v.may_fail === 0 ? 'none' : num(v.may_fail)} may fail.`;

export const hosts = {
  sub: (room: number) =>
    room === 0 ? 'No room for more engines.' : `Room for ${num(room)} more ${room === 1 ? 'engine' : 'engines'}.`,
  subNoLeader: 'No engine starts without a leader.',
  add: 'Add host…',
  lag: 'Log lag',
  fsync: 'fsync p99',
  docker: 'Docker',
  contact: 'Contact',
  entries: (v: number) => agree(v, 'entry', 'entries'),
  dockerOk: 'answers',
  dockerNo: 'no answer',
  dockerStopping: 'stopping',
  isStopping: 'Its node is being stopped.',
  isStopped: 'Its node was told to stop, and has.',
  enginesPlay: 'Engines on it play on, and it counts again when its node is started.',
  downSoon:
    'Away for ACEFLEET_DOWN_AFTER_S, and 60\u00a0s at least, it counts as down: its engines are off the list and replaced elsewhere, and their streams are over for the cluster. On the host nothing is stopped.',
  passedOver: 'Passed over for new engines:',
  noContact: (t: string) => `Away since ${t}.`,
  noAnswer: (h: string) => `${h} does not answer.`,
  lastKnown: 'Shown as last known.',
  draining: (left: number) => (left === 0 ? 'Drained: no engine is left.' : `Draining: ${someEngines(left)} left.`),
  drainStreams: (s: number) =>
    `Engines leave when their streams end; ${s === 0 ? 'no stream is' : `${someStreams(s)} ${agree(s, 'is', 'are')}`} left.`,
  deadline: (t: string) => `Deadline ${t}.`,
  engines: ofEngines,
  direct: 'Direct, no VPN',
  cordon: 'Cordon',
  uncordon: 'Take engines again',
  drain: 'Drain…',
  stopDrain: 'Stop draining',
  remove: 'Remove…',
  legend: 'one bar per stream, its height is the download',
  cell: (name: string, state: string, s: number) => `${name}, ${state}, ${someStreams(s)}`,
  hour: 'Last hour',
  cpu: 'CPU of engines',
  cpuOf: 'Percent of one core, all engines together',
  streams: 'Streams',
  download: 'Download',
  noEngines: 'No engine here.',
  cordoned: (h: string) => `${h} takes no new engines. Those on it stay.`,
  uncordoned: (h: string) => `${h} takes engines again.`,
  drainStarted: (h: string) => `${h} is draining.`,
  drainTitle: (h: string) => `Drain ${h}?`,
  drainText: 'It takes no new engines and no new streams. Engines leave when their last stream ends.',
  drainNoCut: 'No stream is cut.',
  drainCut: 'Streams that are left at the deadline are cut off.',
  drainLeads: (h: string) => `${h} leads the cluster. It hands the lead over to another voter first.`,
  drainKeeps: 'The cluster keeps its leader.',
  drainRoom: (room: number, have: number) =>
    have === 0 ? 'No engine runs on it.' : `Other hosts have room for ${num(room)} of its ${someEngines(have)}.`,
  drainDeadline: 'Deadline',
  drainNever: 'none, wait for the last stream',
  drainMinutes: (m: number) => (m < 60 ? `${num(m)} min` : `${num(m / 60)} h`),
  drainYes: 'Drain',
  removeTitle: (h: string) => `Remove ${h} from the cluster?`,
  removeVotes: (a: number, b: number) => `Votes: ${num(a)} now, ${num(b)} after.`,
  removeNoVote: 'It has no vote; the majority stays as it is.',
  removeNow: (v: Votes) => `Now ${votes(v)}`,
  removeAfter: (v: Votes) => `After that ${votes(v)}`,
  removeRefused: (why: string) => `It would be refused. ${why}`,
  removeNever: (why: string) => `It would be refused, by force too. ${why}`,
  removeNoEngines: 'No engine runs on it.',
  removeEngines: (e: number) =>
    `${someEngines(e)} ${e === 1 ? 'runs' : 'run'} on it. Drain it first: by force they stay there without a cluster.`,
  removeLost: (e: number) =>
    `It is down: the cluster forgets its ${someEngines(e)} and ${agree(e, 'its', 'their')} streams.`,
  removeQueued: (e: number) =>
    `${plural(e, 'event', 'events')} that it answered ${e === 1 ? 'is' : 'are'} not written yet. It has 5\u00a0s for that; force loses the rest.`,
  removeBack: 'It does not come back by itself; it has to join again with an empty data directory.',
  removeForce: 'Remove by force: leave its containers without a cluster',
  removeYes: 'Remove',
  removed: (h: string) => `${h} was removed.`,
  joinTitle: 'Add a host',
  joinText:
    'Run this on a host. It prints the line for the new one, which joins without a vote, copies the log and then votes.',
  joinMore: 'See docs/DEPLOY.md.',
  upToDate: 'Members',
};

export const vpn = {
  sub: (v: number, h: number, d: number) =>
    `${plural(v, 'VPN', 'VPNs')} on ${someHosts(h)}${d === 0 ? '' : `, ${num(d)} down`}`,
  none: 'No host has a VPN',
  noneText: 'Engines use the networks of their hosts. A host gets a VPN by GLUETUN_CONTAINER_NAME in its settings.',
  day: 'Last 24 h',
  noOutage: 'no outage seen',
  outages: (v: number, a: string) => `${plural(v, 'outage', 'outages')}, ${a}`,
  dayLabel: (name: string, o: string) => `State of ${name} over the last 24 hours: ${o}`,
  address: 'Public address',
  port: 'Forwarded port',
  behind: 'Engines behind',
  provider: 'Provider',
  place: 'Place',
  engines: 'Engines',
  logs: 'Logs',
  secondOpinion: 'Counts as connected although Docker says otherwise:',
  outOfRotation: 'out of rotation',
  container: 'Container',
};
