/** English: states of things. */

export const engine = {
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  vpn_down: 'VPN down',
  host_away: 'host away',
  starting: 'starting',
  stopping: 'stopping',
  leaving: 'leaving',
  unlisted: 'not listed',
  unknown: 'unknown',
};

export const stream = {
  playing: 'playing',
  buffering: 'buffering',
  stalled: 'stalled',
  found: 'in use',
  ended: 'ended',
};

export const host = {
  takes: 'takes engines',
  answers: 'answers',
  away: 'away',
  down: 'down',
  stopping: 'stopping',
  stopped: 'stopped',
  suspect: 'silent',
  draining: 'draining',
  cordoned: 'cordoned',
  docker: 'Docker down',
  passed: 'passed over',
  full: 'full',
  unknown: 'unknown',
};

export const vpnState = { connected: 'connected', down: 'down', starting: 'starting', unknown: 'unknown' };

export const role = { leader: 'leader', voter: 'voter', learner: 'learner' };
