/** Spanish: hosts and VPNs. */
import { num } from '../../format/format';
import type { Words } from '../en';
import type { Votes } from '../en/hosts';
import { agree, ofEngines, plural, someEngines, someStreams, someHosts } from './count';

const votes = (v: Votes) =>
  `${v.alive === 1 ? 'responde' : 'responden'} ${num(v.alive)} de ${plural(v.voters, 'votante', 'votantes')} y ${v.needed === 1 ? 'hace falta' : 'hacen falta'} ${num(v.needed)}: ${v.may_fail === 0 ? 'no puede fallar ninguno' : `${v.may_fail === 1 ? 'puede' : 'pueden'} fallar ${num(v.may_fail)}`}.`;

export const hosts: Words['hosts'] = {
  sub: (room) => (room === 0 ? 'No hay sitio para más motores.' : `Sitio para ${someEngines(room)} más.`),
  subNoLeader: 'Sin líder no arranca ningún motor.',
  add: 'Añadir host…',
  lag: 'Retraso',
  fsync: 'fsync p99',
  docker: 'Docker',
  contact: 'Contacto',
  entries: (v) => agree(v, 'entrada', 'entradas'),
  dockerOk: 'responde',
  dockerNo: 'no responde',
  dockerStopping: 'parando',
  isStopping: 'Su nodo se está parando.',
  isStopped: 'Se pidió a su nodo que parase, y lo hizo.',
  enginesPlay: 'Sus motores siguen, y vuelve a contar cuando se inicie su nodo.',
  downSoon:
    'Si falta durante ACEFLEET_DOWN_AFTER_S, y 60\u00a0s como mínimo, cuenta como caído: sus motores salen de la lista y se reemplazan en otros hosts, y sus emisiones acaban para el clúster. En el host no se para nada.',
  passedOver: 'Omitido para motores nuevos:',
  noContact: (t) => `Ausente desde ${t}.`,
  noAnswer: (h) => `${h} no responde.`,
  lastKnown: 'Se muestra lo último que se supo.',
  draining: (left) =>
    left === 0
      ? 'Vaciado: no queda ningún motor.'
      : `Vaciándose: ${left === 1 ? 'queda' : 'quedan'} ${someEngines(left)}.`,
  drainStreams: (s) =>
    `Los motores se van cuando acaban sus emisiones; ${s === 0 ? 'no queda ninguna' : `${agree(s, 'queda', 'quedan')} ${someStreams(s)}`}.`,
  deadline: (t) => `Límite ${t}.`,
  engines: ofEngines,
  direct: 'Directo, sin VPN',
  cordon: 'Acordonar',
  uncordon: 'Admitir motores',
  drain: 'Vaciar…',
  stopDrain: 'Dejar de vaciar',
  remove: 'Quitar…',
  legend: 'una barra por emisión, su altura es la descarga',
  cell: (name, state, s) => `${name}, ${state}, ${someStreams(s)}`,
  hour: 'Última hora',
  cpu: 'CPU de motores',
  cpuOf: 'Por ciento de un núcleo, todos los motores juntos',
  streams: 'Emisiones',
  download: 'Descarga',
  noEngines: 'Aquí no hay motores.',
  cordoned: (h) => `${h} no admite motores nuevos. Los que tiene se quedan.`,
  uncordoned: (h) => `${h} vuelve a admitir motores.`,
  drainStarted: (h) => `${h} se está vaciando.`,
  drainTitle: (h) => `¿Vaciar ${h}?`,
  drainText: 'No admite motores ni emisiones nuevos. Los motores se van cuando acaba su última emisión.',
  drainNoCut: 'No se corta ninguna emisión.',
  drainCut: 'Las emisiones que queden al llegar el límite se cortan.',
  drainLeads: (h) => `${h} lidera el clúster. Primero cede el liderazgo a otro votante.`,
  drainKeeps: 'El clúster conserva su líder.',
  drainRoom: (room, have) =>
    have === 0
      ? 'No tiene ningún motor.'
      : `Los demás hosts tienen sitio para ${num(room)} de ${agree(have, 'su', 'sus')} ${someEngines(have)}.`,
  drainDeadline: 'Límite',
  drainNever: 'ninguno, esperar a la última emisión',
  drainMinutes: (m) => (m < 60 ? `${num(m)} min` : `${num(m / 60)} h`),
  drainYes: 'Vaciar',
  removeTitle: (h) => `¿Quitar ${h} del clúster?`,
  removeVotes: (a, b) => `Votos: ${num(a)} ahora, ${num(b)} después.`,
  removeNoVote: 'No tiene voto; la mayoría queda como está.',
  removeNow: (v) => `Ahora ${votes(v)}`,
  removeAfter: (v) => `Después ${votes(v)}`,
  removeRefused: (why) => `Se rechazaría. ${why}`,
  removeNever: (why) => `Se rechazaría, también a la fuerza. ${why}`,
  removeNoEngines: 'No tiene ningún motor.',
  removeEngines: (e) =>
    `Tiene ${someEngines(e)}. Vacíelo antes: a la fuerza ${e === 1 ? 'se queda' : 'se quedan'} allí sin clúster.`,
  removeLost: (e) => `Está caído: el clúster olvida ${e === 1 ? 'su' : 'sus'} ${someEngines(e)} y sus emisiones.`,
  removeQueued: (e) =>
    `${plural(e, 'evento', 'eventos')} que contestó no ${e === 1 ? 'está escrito' : 'están escritos'} aún. Tiene 5\u00a0s para ello; la fuerza pierde el resto.`,
  removeBack: 'No vuelve por sí solo; tiene que unirse otra vez con un directorio de datos vacío.',
  removeForce: 'Quitar a la fuerza: dejar sus contenedores sin clúster',
  removeYes: 'Quitar',
  removed: (h) => `${h} se ha quitado.`,
  joinTitle: 'Añadir un host',
  joinText:
    'Ejecute esto en un host. Imprime la línea para el nuevo, que se une sin voto, copia el registro y después vota.',
  joinMore: 'Vea docs/DEPLOY.md.',
  upToDate: 'Miembros',
};

export const vpn: Words['vpn'] = {
  sub: (v, h, d) => `${num(v)} VPN en ${someHosts(h)}${d === 0 ? '' : `, ${plural(d, 'caída', 'caídas')}`}`,
  none: 'Ningún host tiene VPN',
  noneText: 'Los motores usan las redes de sus hosts. Un host tiene VPN con GLUETUN_CONTAINER_NAME en sus ajustes.',
  day: 'Últimas 24 h',
  noOutage: 'sin caídas vistas',
  outages: (v, a) => `${plural(v, 'caída', 'caídas')}, ${a}`,
  dayLabel: (name, o) => `Estado de ${name} en las últimas 24 horas: ${o}`,
  address: 'Dirección pública',
  port: 'Puerto reenviado',
  behind: 'Motores detrás',
  provider: 'Proveedor',
  place: 'Lugar',
  engines: 'Motores',
  logs: 'Registro',
  secondOpinion: 'Cuenta como conectada aunque Docker diga otra cosa:',
  outOfRotation: 'fuera de la rotación',
  container: 'Contenedor',
};
