/** Spanish: the overview. */
import { num } from '../../format/format';
import type { Words } from '../en';
import { agree, ofEngines, plural, someEngines, someStreams } from './count';

export const attention: Words['attention'] = {
  title: 'Requiere atención',
  urgent: (v) => plural(v, 'urgente', 'urgentes'),
  soon: (v) => `${num(v)} pronto`,
  nothing: 'Nada requiere atención.',
  no_leader: 'El clúster no tiene líder',
  no_leaderWhy: (a, b, need) =>
    `${agree(a, 'Responde', 'Responden')} ${num(a)} de ${plural(b, 'votante', 'votantes')}${a < need ? ` y ${agree(need, 'hace falta', 'hacen falta')} ${num(need)}: inicie los demás o arregle su red.` : ', que bastan: una elección tarda cerca de un segundo. Si dura más, no se alcanzan entre sí.'} Las emisiones siguen; no se puede iniciar ni cambiar nada.`,
  host_away: (h) => `${h} está ausente`,
  host_down: (h) => `${h} está caído`,
  host_awayWhy: (e, judged) =>
    `${judged ? 'Ningún miembro lo oye.' : 'Este nodo no lo oye, y sin líder nadie juzga más.'} ${e === 0 ? 'No tiene ningún motor.' : `No se llega a ${someEngines(e)} que tiene.`}`,
  host_stopped: (h) => `El nodo de ${h} está parado`,
  host_stoppedWhy: (more) =>
    `Lo avisó antes. Sus motores siguen; ${more < 0 ? 'los votantes que quedan no son mayoría' : more === 0 ? 'entretanto no puede fallar ningún votante más' : more === 1 ? 'entretanto puede fallar 1 votante más' : `entretanto pueden fallar ${num(more)} votantes más`}.`,
  host_suspect: (h) => `${h} está en silencio`,
  host_suspectWhy: (a) => `Su última señal de vida tiene ${a}.`,
  docker: (h) => `Docker no responde en ${h}`,
  dockerWhy: 'Sus motores no se pueden iniciar ni ver.',
  vpn_down: (v, h) => `La VPN ${v} de ${h} está caída`,
  vpn_downWhy: (e) =>
    e === 0
      ? 'No tiene ningún motor detrás.'
      : `${someEngines(e)} detrás de ella ${agree(e, 'está', 'están')} fuera de la rotación.`,
  engine: (e, h) => `${e} en ${h} falla`,
  engineWhy: (s) => (s === 0 ? 'No tiene ninguna emisión.' : `Aún tiene ${someStreams(s)}.`),
  engines: (v) => `${agree(v, 'Falla', 'Fallan')} ${someEngines(v)}`,
  enginesWhy: (names) => `Entre ellos ${names}.`,
  breaker_general: 'Arranques en pausa: demasiados fallos seguidos',
  breaker_replacement: 'Reemplazos en pausa: demasiados arranques fallidos seguidos',
  breakerHalf: 'Se deja pasar un arranque de prueba.',
  blocked: 'No se puede iniciar otro motor',
  left_behind: (c, h) =>
    `${plural(c, 'contenedor', 'contenedores')} de ${h} no ${c === 1 ? 'pertenece' : 'pertenecen'} a ningún clúster`,
  stalled: (v) => `${someStreams(v)} sin datos`,
  stalledWhy: (e) =>
    e === null ? 'Su velocidad es 0 desde hace 15 s o más.' : `En ${e}. Su velocidad es 0 desde hace 15 s o más.`,
  disk: (h) => `El disco de ${h} es lento`,
  diskWhy: (v) => `Las escrituras tardan ${v} (p99), más de 50 ms.`,
  showCluster: 'Ver clúster',
  showHost: 'Ver host',
  showVpn: 'Ver VPN',
  showEngine: 'Ver motor',
  showEngines: 'Ver motores',
  showStreams: 'Ver emisiones',
  showEvents: 'Ver fallos',
  showSettings: 'Ver ajustes',
  logs: 'Registro',
  reset: 'Probar ahora',
  resetDone: 'Los arranques vuelven a estar permitidos.',
  stop: 'Parar motor…',
  adopt: 'Adoptar',
  adopted: (v) => (v === 0 ? 'No se pudo adoptar ningún motor.' : plural(v, 'motor adoptado.', 'motores adoptados.')),
  startElsewhere: 'Iniciar en otro…',
};

export const overview: Words['overview'] = {
  sub: (zone) => `Últimos 60 minutos, horas en su zona (${zone})`,
  streams: 'Emisiones',
  healthy: 'Motores sanos',
  download: 'Descarga',
  upload: 'Subida',
  free: 'Motores en uso',
  room: 'Sitio para motores',
  change: (a, s) => `${s} en ${a}`,
  peak: (v, t) => `máximo ${v} a las ${t}`,
  noPeak: 'aún sin historial',
  allHealthy: 'todos sanos',
  inUse: (v) => plural(v, 'listo', 'listos'),
  waits: 'espera a un líder',
  roomOf: (v) => `de ${num(v)} máx.`,
  minimum: (v) => `al menos ${num(v)}`,
  activity: 'Actividad',
  activitySub: 'emisiones iniciadas y terminadas, por minuto',
  started: (v) => `${plural(v, 'iniciada', 'iniciadas')}, arriba`,
  ended: (v) => `${plural(v, 'terminada', 'terminadas')}, abajo`,
  activityLabel: (a, b) =>
    `Emisiones de la última hora por minuto: ${plural(a, 'iniciada', 'iniciadas')}, ${plural(b, 'terminada', 'terminadas')}.`,
  leads: (h) => `lidera ${h}`,
  hosts: 'Hosts',
  hostsSub: 'motores de su capacidad',
  ofEngines,
  latest: 'Últimos cambios',
  allEvents: 'Todos los eventos',
  noEvents: 'Aún no hay eventos.',
};
