/** Spanish: states of things. */
import type { Words } from '../en';

export const engine: Words['engine'] = {
  healthy: 'sano',
  unhealthy: 'con fallos',
  vpn_down: 'VPN caída',
  host_away: 'host ausente',
  starting: 'arrancando',
  stopping: 'parando',
  leaving: 'saliendo',
  unlisted: 'fuera de lista',
  unknown: 'desconocido',
};

export const stream: Words['stream'] = {
  playing: 'en curso',
  buffering: 'cargando',
  stalled: 'atascada',
  found: 'en uso',
  ended: 'terminada',
};

export const host: Words['host'] = {
  takes: 'admite motores',
  answers: 'responde',
  away: 'ausente',
  down: 'caído',
  stopping: 'parando',
  stopped: 'parado',
  suspect: 'en silencio',
  draining: 'vaciándose',
  cordoned: 'acordonado',
  docker: 'Docker caído',
  passed: 'omitido',
  full: 'lleno',
  unknown: 'desconocido',
};

export const vpnState: Words['vpnState'] = {
  connected: 'conectada',
  down: 'caída',
  starting: 'arrancando',
  unknown: 'desconocida',
};

export const role: Words['role'] = { leader: 'líder', voter: 'votante', learner: 'aprendiz' };
