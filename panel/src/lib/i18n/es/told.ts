/** Spanish: what happened, and why. */
import type { Facts } from '../../told/sayings';
import type { Words } from '../en';
import { agree, plural, someEngines, someStreams } from './count';

const all = (f: Facts) => Number(f.all ?? 1);
const n = (f: Facts) => Number(f.n);
const why = (f: Facts) => (f.why === undefined ? '' : `: ${f.why}`);
const at = (f: Facts) => (f.node === undefined ? '' : ` en ${f.node}`);

export const told: Words['told'] = {
  reserved: (f) => `${f.name} arranca${at(f)}${why(f)}`,
  created: (f) => `${f.name} funciona en ${f.node}`,
  failed: (f) => `${f.name} no arrancó en ${f.node}${why(f)}`,
  listed: (f) => `${f.name} se ofrece de nuevo: su VPN recuperó su puerto reenviado`,
  retiring: (f) => `${f.name} ya no se ofrece: ${f.cause}`,
  stopping: (f) => `${f.name} se está parando: ${f.cause}`,
  deleted: (f) => `${f.name} ya no existe: ${f.cause}${f.why === undefined ? '' : ` (${f.why})`}`,
  adopted: (f) => `${f.name} de ${f.node} fue adoptado`,
  kept: (f) => `${f.name} se queda: le ha llegado un cliente`,
  streamStarted: (f) => `la emisión ${f.stream} empezó`,
  streamEnded: (f) => `la emisión ${f.stream} terminó: ${f.reason}`,
  streamResumed: (f) => `la emisión ${f.stream} continúa: su host ha vuelto`,
  streamFound: (f) => `${f.name} está en uso, aunque ningún evento lo dice`,
  streamPlays: (f) => `${f.name} aún reproduce lo que fue la emisión ${f.stream}`,
  vpnConnected: (f) => `la VPN ${f.vpn} de ${f.node} está conectada`,
  vpnReconnected: (f) => `la VPN ${f.vpn} de ${f.node} está conectada otra vez; sus motores se reemplazan uno a uno`,
  vpnDisconnected: (f) => `la VPN ${f.vpn} de ${f.node} está caída${why(f)}`,
  vpnUnknown: (f) => `el estado de la VPN ${f.vpn} de ${f.node} es desconocido`,
  vpnPort: (f) => `la VPN ${f.vpn} de ${f.node} tiene el puerto reenviado ${f.value}`,
  vpnNoPort: (f) => `la VPN ${f.vpn} de ${f.node} ya no tiene puerto reenviado`,
  vpnAddress: (f) => `la VPN ${f.vpn} de ${f.node} tiene la dirección pública ${f.value}`,
  sick: (f) => `${f.name} falla${why(f)}`,
  sound: (f) => `${f.name} está sano`,
  healthUnknown: (f) => `la salud de ${f.name} es desconocida`,
  breakerOpen: (f) =>
    `los arranques están en pausa (${f.other}): ${agree(n(f), 'falló 1', `fallaron ${f.n} seguidos`)}${f.why === undefined ? '' : `, el último ${f.why}`}`,
  breakerClosed: (f) => `los arranques siguen (${f.other})${why(f)}`,
  breakersReset: () => 'los arranques se permiten de nuevo: se restableció un cortacircuitos',
  joined: (f) => `${f.node} entró en el clúster`,
  removed: (f) => `${f.node} fue quitado del clúster`,
  dockerDown: (f) => `no se puede usar Docker en ${f.node}${why(f)}`,
  dockerUp: (f) => `Docker responde en ${f.node}`,
  dockerUnknown: (f) => `el estado de Docker en ${f.node} es desconocido`,
  nodeStopping: (f) => `${f.node} se está parando`,
  cordoned: (f) => `${f.node} no acepta motores nuevos`,
  uncordoned: (f) => `${f.node} acepta motores de nuevo`,
  draining: (f) => `${f.node} se vacía: sus motores se van con sus emisiones`,
  nodeDown: (f) => `${f.node} está caído: sus motores se pierden y sus emisiones terminan`,
  nodeBack: (f) => `${f.node} ha vuelto, con los motores que aún funcionan en él`,
  nodeUnavailable: (f) => `${f.node} está ausente, ningún miembro lo oye: ${f.why}`,
  nodeAvailable: (f) => `${f.node} responde de nuevo, y sus motores cuentan otra vez`,
  nodePartly: (f) =>
    `${f.node} responde de nuevo; ${f.n} de ${agree(all(f), 'su', 'sus')} ${someEngines(all(f))} aún no ${agree(n(f), 'ha', 'han')} respondido`,
  enginesLost: (f) =>
    `${someEngines(n(f))} más de ${f.node} ${agree(n(f), 'se pierde: no responde', 'se pierden: no responden')}`,
  enginesBack: (f) => `${someEngines(n(f))} de ${f.node} ${agree(n(f), 'responde', 'responden')} de nuevo`,
  leads: (f) => `${f.node} es líder desde el mandato ${f.n}${f.other === undefined ? '' : `, tras ${f.other}`}`,
  toLead: (f) => `${f.node} va a ser líder`,
  toLeave: (f) => `${f.node} va a irse para siempre`,
  keyOpen: () => 'todos pueden llamar a los nodos cuyos ajustes no nombran ninguna clave',
  keyChanged: () => 'el clúster tiene otra clave de API, para los nodos cuyos ajustes no nombran ninguna',
  found: (f) => `${f.other === 'image' ? 'la imagen' : 'la red Docker'} ${f.value} ya no falta en ${f.node}`,
  nodeReplaced: (f) => `${f.node} perdió lo que guardaba su disco y sigue con uno nuevo`,
  recovered: (f) => `el clúster se recuperó desde ${f.node}, sin ${agree(n(f), 'otro', `otros ${f.n}`)}`,
  level: (f) => `todos los miembros conocen las órdenes del nivel ${f.n}, que se usan desde ahora`,
  settingsBack: (f) => `los ajustes son otra vez los de la revisión ${f.n}: ${f.value}`,
  settingsOf: (f) =>
    `la configuración ${f.node === undefined ? 'del líder' : `de ${f.node}`} da los ajustes del clúster${f.value === undefined ? '' : `: ${f.value}`}`,
  settings: (f) => `ajustes: ${f.value}`,
};

/** The whole of “2 of 3”. */
const of = (part: string | undefined) => Number(/\d+$/.exec(part ?? '')?.[0]);
const load = (f: Facts) =>
  `${f.n} de ${someEngines(all(f))}, ${someStreams(Number(f.value))}, ${f.other?.replace(' of ', ' de ')} ${agree(of(f.other), 'host', 'hosts')} con sitio`;

export const clauses: Words['clauses'] = {
  replacesIt: (f) => `reemplaza a ${f.name}${at(f)}`,
  settingsWant: () => 'los ajustes piden más motores de los que hay',
  callerAsks: () => 'lo pide un cliente',
  noAnswer: () => 'no responde',
  slow: () => 'responde demasiado despacio',
  errorStatus: () => 'responde con un error',
  notEngine: () => 'sus respuestas no son las de un motor',
  portClosed: () => 'nada escucha en su puerto',
  notReached: () => 'su host no puede alcanzarlo',
  paused: () => 'su contenedor está en pausa',
  failsChecks: () => 'no supera sus pruebas de salud',
  hostStarts: () => 'su host lo está arrancando',
  otherKind: () => 'es un contenedor de otro tipo',
  hostDown: () => 'su host está caído',
  hostGone: () => 'su host está ausente, o lo estuvo, y no ha respondido desde entonces',
  hostDrains: () => 'su host se está vaciando',
  tookPlace: () => 'fallaba y otro ocupó su lugar; vuelve a la lista cuando haga falta uno más',
  notNeeded: (f) => `no hacía falta (${f.cause}); vuelve a la lista cuando la haga`,
  leaves: (f) => `para cuando terminen sus emisiones: ${f.cause}`,
  stops: (f) => `se está parando: ${f.cause}`,
  vpnSick: () => 'su VPN está caída',
  outsideVpn: () => 'funciona fuera de las VPN de su host',
  isSick: (f) => `falla${why(f)}`,
  noAddress: () => 'su contenedor no tiene dirección',
  notAnswered: () => 'no ha respondido desde su arranque',
  stoppingNow: () => 'se está parando',
  clientsGet: () => 'los clientes lo reciben',
  offList: () => 'ya está fuera de la lista',
  suspected: (f) => `falla con la mayoría de los motores de su host, sospechoso durante ${f.n} s más`,
  replacementSilent: () => 'su sustituto aún no responde',
  oneStream: () => 'tiene una emisión',
  streams: (f) => `tiene ${someStreams(n(f))}`,
  inDoubt: () => 'su host estuvo caído, y quizá aún tenga emisiones',
  clientComing: (f) => `un cliente puede estar en camino durante ${f.n} s más`,
  notIdle: (f) => `llevará bastante tiempo libre en ${f.n} s`,
  isSetting: (f) => `${f.name} es ${f.n}`,
  noMember: (f) => `no responde a ningún miembro; ${f.why}`,
  noEngines: () => 'no tiene motores',
  enginesAnswer: () => 'sus motores responden y siguen en la lista',
  allLost: (f) =>
    agree(all(f), 'su motor tampoco responde y se pierde', `sus ${someEngines(all(f))} tampoco responden y se pierden`),
  someLost: (f) =>
    `${f.n} de ${agree(all(f), 'su', 'sus')} ${someEngines(all(f))} ${agree(n(f), 'tampoco responde y se pierde', 'tampoco responden y se pierden')}`,
  downNow: () => 'está caído: ningún miembro lo alcanza; sus motores se pierden y sus emisiones han terminado',
  breakerOpen: (f) =>
    `${agree(n(f), 'falló 1 arranque', `fallaron ${f.n} arranques seguidos`)}${f.why === undefined ? '' : `, el último ${f.why}`}`,
  breakerProbes: () => 'se deja pasar un arranque como prueba',
  provenGood: () => 'un motor ha durado un minuto',
  vpnAtFault: () => 'la culpa era de una VPN',
  vpnAnew: () => 'una VPN se hizo de nuevo',
  leastLoaded: (f) => `el único menos cargado: ${load(f)}`,
  tieReceived: (f) => `tan poco cargado como otros, y recibió la llamada: ${load(f)}`,
  tieHash: (f) => `tan poco cargado como otros, elegido por hash: ${load(f)}`,
  wasThere: () => 'adoptado: el contenedor ya funcionaba',
};
