/** Spanish: what nodes answer to people. */
import type { AnswerWording } from '../../told/answers';
import type { Facts } from '../../told/sayings';
import { agree, plural, someEngines } from './count';

const n = (f: Facts) => Number(f.n ?? 1);
const verb = (f: Facts, one: string, many: string) => agree(n(f), one, many);
const breaker = (f: Facts) => (f.other === 'replacements' ? 'los reemplazos' : 'los arranques');
const more = (f: Facts) => (f.each === undefined ? '' : `; ${f.each}`);
const force = 'use la fuerza';

export const answers: Record<AnswerWording, (f: Facts) => string> = {
  tooMany: (f) => `hay ${someEngines(n(f))} más que MAX_REPLICAS; cada uno se va cuando lleve mucho tiempo sin uso`,
  startedFor: (f) => `${verb(f, 'arranca', 'arrancan')} ${someEngines(n(f))}: ${f.each}`,
  backOnList: (f) => `${someEngines(n(f))} ${verb(f, 'vuelve', 'vuelven')} a la lista`,
  leaveNow: (f) => `${verb(f, 'se va', 'se van')} ahora ${someEngines(n(f))} sin uso desde hace mucho`,
  keepPorts: (f) => `${someEngines(n(f))} con puertos fuera de ${f.value} los ${verb(f, 'conserva', 'conservan')}`,
  apiInRange: (f) => `${f.value} incluye el puerto ${f.n}, el de la API de ${f.node}: ahí ningún motor puede tenerlo`,
  keepHttps: () => 'los motores que existen conservan sus puertos HTTPS',
  keepLabel: () => 'los contenedores que existen conservan la etiqueta con la que se crearon',
  shortSilence: () => 'un host en silencio durante unos segundos pierde sus motores y emisiones',
  breakerOpens: (f) => `${breaker(f)} quedan en pausa enseguida, pues ya han fallado tantos`,
  breakerCloses: (f) => `${breaker(f)} dejan de estar en pausa`,
  missing: (f) => `${verb(f, 'falta', 'faltan')} ${someEngines(n(f))} para los mínimos: ${f.why}`,
  replacementDue: (f) => `falta un sustituto de ${f.name}: ${f.why}`,
  rests: (f) => `el último arranque falló, el próximo intento llega en ${f.n} s`,
  oneByOne: (f) => `el último arranque falló, así que se arranca uno tras otro; ahora ${f.name}`,
  onlyThere: (f) => `solo ${f.node} podría arrancarlo, y hace falta por si se pierde ${f.node}`,
  onlyAtHome: (f) => `debe arrancar tras su VPN en ${f.node}, donde ahora no puede ninguno`,
  fewerThere: (f) => `hay ${f.n} y MIN_REPLICAS es ${f.all}`,
  fewerFree: (f) => `hay ${f.n} ${verb(f, 'libre', 'libres')} y MIN_FREE_REPLICAS es ${f.all}`,
  noSpare: (f) =>
    `si se perdiera ${f.node}, a sus emisiones les ${verb(f, 'faltaría', 'faltarían')} ${someEngines(n(f))} en otros hosts`,

  aboveCeiling: (f) => `${f.name} supera ${f.other}: baje el uno o suba el otro`,
  fewPorts: (f) =>
    `${f.name} tiene ${plural(n(f), 'puerto', 'puertos')} y ${f.other} necesita ${f.all}${f.value === undefined ? '' : ', dos por motor por ACE_MAP_HTTPS'}: amplíe el rango o baje MAX_REPLICAS`,
  samePort: (f) => `${f.name} es un solo puerto dentro de ${f.other}: un motor podría recibirlo dos veces`,
  noLabel: (f) => `no vale como etiqueta: ${f.why}`,
  notAccepted: (f) => `se acepta: ${f.why}`,
  noEquals: () => 'no tiene =',
  twoEquals: () => 'tiene más de un =',
  noLabelKey: () => 'la clave está vacía',
  blanks: () => 'tiene espacios',
  tooLong: (f) => `ocupa más de ${plural(n(f), 'byte', 'bytes')}`,
  takenKey: () => 'las claves que empiezan por acestream., acefleet. o host. son de otras etiquetas',
  wholeNumber: (f) => `un número entero de ${f.n} a ${f.all}`,
  someSeconds: (f) => `segundos de ${f.n} a ${f.all}, también con decimales`,
  yesOrNo: () => 'true o false',
  portRange: () => 'dos puertos PRIMERO-ÚLTIMO de 1 a 65535, el primero no mayor que el último',
  label: () => 'CLAVE=VALOR con un solo = y una clave que no esté vacía',
  moved: (f) =>
    `los ajustes van por la revisión ${f.n}${f.value === undefined ? '' : ` y no por la ${f.value.replaceAll(' or ', ' o la ')}`}: mírelos de nuevo y repita el cambio`,
  noRevision: (f) => `no se conocen los ajustes de la revisión ${f.n}`,
  noSettings: () => 'el clúster aún no tiene ajustes en vigor: repita en un momento',

  livesAndRuns: (f) =>
    `${f.node} responde y tiene ${plural(n(f), 'contenedor', 'contenedores')}: vacíelo antes y espere a que no quede ninguno, o ${force}, que ${verb(f, 'lo', 'los')} deja en el host sin clúster`,
  hasQueued: (f) =>
    `${f.node} ha contestado ${plural(n(f), 'evento', 'eventos')} que aún no pudo escribir y se ${verb(f, 'perdería', 'perderían')}: haga que llegue a un líder y repita, o ${force}`,
  lastVoter: (f) => `${f.node ?? 'ese miembro'} es el último votante: añada antes otro miembro`,
  noMajority: (f) =>
    `no hay ninguna mayoría que pueda quitar ${f.node}, y la fuerza no la crea: arranque un votante caído`,
  wouldStop: (f) =>
    `sin ${f.node} el clúster se pararía, y la fuerza no lo cambia: arranque antes un votante caído o quite los muertos`,
  votesItself: (f) =>
    `los votantes que quedan no son mayoría de los actuales y ${f.node} tiene que votar su salida: añada o arranque otro votante, o ${force}`,
  noMember: (f) => `ningún miembro se llama ${f.node ?? 'así'}`,
  noVote: (f) => `${f.node} aún no tiene voto y no puede liderar; repita cuando esté al día`,
  notTakenOver: (f) => `${f.name} no tomó el relevo de ${f.node}, que sigue: ${f.why}`,
  lateTakenOver: (f) =>
    `${f.name} no tomó el relevo a tiempo; ahora ${f.node === undefined ? 'no lidera nadie' : `lidera ${f.node}`}`,
  silentToLead: () => 'no responde al líder',
  lagsBehind: () => 'no completó el relevo a tiempo, como ocurre cuando va retrasado',
  notRegistered: () => 'el nodo aún no se ha registrado',

  noLeader: () => 'el clúster no tiene líder',
  noLeaderInTime: () => 'ningún líder lo recibió a tiempo; no se aplicó',
  outcome: () => 'se envió, pero no se sabe si se aplicó',
  changeGoesOn: () => 'el cambio de miembros no ha acabado; repítalo',
  heldBack: (f) => `el clúster no lo admite ahora y no se aplicó: ${f.why}`,
  shuttingDown: () => 'este nodo se está parando; no se aplicó',
  memberGone: (f) => `${f.node} ya no es miembro de este clúster`,
  memberUnreachable: (f) => `no se llega a ${f.node}: ${f.why}`,
  memberSilent: (f) => `${f.node} no responde: ${f.why}`,
  memberFailed: (f) => `${f.node} no pudo hacerlo: ${f.why}`,
  unreachable: (f) => `no se puede alcanzar: ${f.other}`,
  noAnswerOf: (f) => `sin respuesta: ${f.other}`,
  noAnswerInTime: () => 'sin respuesta a tiempo',
  stillStarting: () => 'el motor aún arranca; repita para recibirlo',
  stillStopping: () => 'el contenedor aún se está parando',
  isStarting: (f) => `${f.name} aún está arrancando`,
  fixedPort: (f) => `quien pidió ${f.name} fijó su puerto de host: párelo e inicie otro`,
  noContainer: () => 'no se encuentra el contenedor',
  noStream: () => 'la emisión ya no está en curso',
  noCommandUrl: () => 'la emisión no tiene URL de órdenes',
  manyFollow: () => 'hay demasiados lectores de registros en este nodo',
  busy: () => 'este nodo atiende todas las peticiones que puede',
  late: () => 'no se hizo a tiempo; puede haber tenido efecto o no',
  notFormed: () => 'el clúster aún no se ha formado, o este nodo no tiene nada de su registro; repita',
  badKey: () => 'la clave fue rechazada',
  strangeName: () =>
    'este nodo está abierto y no conoce el nombre de Host: llámelo por su dirección, por un nombre sin puntos o por uno de ACEFLEET_ALLOWED_HOSTS, o dele una clave',
  strangePage: () =>
    'este nodo está abierto y no responde a páginas de otros sitios: añada el host de la página a ACEFLEET_ALLOWED_HOSTS, o dele una clave',

  noVpn: (f) => `ninguna VPN está conectada (${f.each})`,
  limit: (f) => `hay ${someEngines(n(f))} y ${f.name === 'MAX_REPLICAS' ? f.name : 'el objetivo'} es ${f.all}`,
  noRoom: (f) =>
    `el registro ya guarda ${f.n} MiB de ${f.other === 'engines' ? 'motores, lo máximo: quite algunos motores' : 'emisiones en curso, lo máximo: termine algunas emisiones'}`,
  noPorts: (f) => `sin puertos libres en ${f.value}: quite motores o amplíe ${f.name?.replace(' or ', ' o ')}`,
  noPortsUp: (f) => `las VPN con puertos libres no están conectadas (${f.each}); sin puertos libres en ${f.value}`,
  noHttps: () => 'sin puertos libres en ACE_HTTPS_RANGE: amplíelo',
  noHostNow: () =>
    'ningún host puede aceptar un motor: el nodo o su Docker no responde, o está acordonado o vaciándose',
  allFailed: () => 'todos los hosts que podían han fallado para esta llamada',
  allFull: (f) =>
    `${verb(f, 'el único host que podría tiene', `los ${f.n} hosts que podrían tienen`)} tantos motores como permite su ACEFLEET_CAPACITY${more(f)}`,
  noneMore: (f) => `ningún host puede tener uno más${more(f)}`,
  noHostAsIs: (f) => `ningún host puede aceptar un motor ahora: ${f.each}`,
  noDockerYet: () => 'ningún host ha dicho aún que su Docker responde',
  noDocker: (f) => `ningún Docker responde (${f.each})`,

  conflicts: (f) =>
    `${verb(f, 'un intento halló', `${f.n} intentos seguidos hallaron`)} algo en uso en su host, el último ${f.value?.replace('port ', 'puerto ')}`,
  pulling: (f) => `${f.node} aún descarga la imagen ${f.value}; arrancará después`,
  noImage: (f) =>
    `falta la imagen ${f.value} en ${f.node}: ${f.why}. Ejecute allí «docker pull ${f.value}» o cambie TARGET_IMAGE`,
  notStarted: (f) => `${f.node} no lo arranca: ${f.why}`,
  imageNotAllowed: (f) => `la imagen ${f.value} no está permitida: añádala a ACEFLEET_ALLOWED_IMAGES u omítala`,
  noReference: (f) => `${f.value} no es una imagen: ${f.why}`,
  labelNotAllowed: (f) => `la etiqueta ${f.value} no está permitida: añádala a ACEFLEET_ALLOWED_LABELS u omítala`,
  ownLabel: (f) => `son etiquetas del clúster: omita ${f.value}`,
  variableNotAllowed: (f) => `la variable ${f.value} no está permitida: añádala a ACEFLEET_ALLOWED_LABELS u omítala`,
  ownPort: (f) => `el puerto ${f.n} es del propio nodo: elija otro o ninguno`,
  lowPort: (f) => `el puerto ${f.n} es inferior a 1024: elija otro o ninguno`,
  vpnName: (f) => `${f.name}-… parece el contenedor de VPN ${f.vpn}: elija otro prefijo`,
  vanishedAfterPull: () => 'desapareció tras la descarga',
  noNetwork: (f) =>
    `falta la red Docker ${f.value} en ${f.node}: ejecute allí «docker network create ${f.value}» o cambie DOCKER_NETWORK`,
  vpnStopped: (f) => `el contenedor de VPN ${f.vpn} no funciona en ${f.node}`,
  portKept: (f) => `otro motor no soltó el puerto reenviado de la VPN ${f.vpn}`,
  dockerSilent: () => 'Docker no responde',
  dockerNoAnswer: (f) => `Docker no responde: ${f.why}`,
  dockerLate: (f) => `${f.value}: sin respuesta en ${f.n} s`,
  noSocket: (f) => `no existe el socket ${f.value}: arranque Docker o cambie DOCKER_HOST`,
  oldDocker: (f) => `su API es ${f.value} y hace falta al menos ${f.all}: actualice Docker`,
  noRight: (f) => `${f.other ?? ''}ejecute acefleet como root o como miembro del grupo docker`,
  guarded: (f) =>
    `${f.other} está prohibido: permítalo donde se protege el socket de Docker, en docker-socket-proxy con ${f.value?.replace(' and ', ' y ').replace(', or ', ', o ')}`,
  dockerSlow: () => 'Docker no arrancó el contenedor a tiempo',
  removedMeanwhile: () => 'el contenedor se quitó mientras arrancaba',
  likeNames: (f) =>
    `${plural(n(f), 'contenedor ajeno', 'contenedores ajenos')} de ${f.node} se ${verb(f, 'llama', 'llaman')} ${f.name}: quite ${verb(f, 'ese', 'algunos')}`,
  endedAtOnce: (f) => `el contenedor terminó enseguida: ${f.other}`,
  noSuchContainer: () => 'no existe el contenedor',
  nameInUse: (f) => `el nombre de contenedor ${f.name} está en uso`,
  portInUse: (f) => `el puerto de host ${f.n} está en uso`,
  lendsNone: (f) => `el contenedor de VPN no presta su red: ${f.other}`,
  containerIs: (f) => `su contenedor está en estado ${f.other}`,
  tunnelDown: () => 'su prueba de salud dice que el túnel está caído',
  tunnelIs: (f) => `Gluetun dice que su túnel está en estado ${f.other}`,
  tunnelComes: () => 'se arrancó de nuevo y su túnel aún no está',
  dockerOverruled: (f) => `la prueba de salud de Docker dice que el túnel está caído, pero ${f.why}`,
  engineConnected: (f) => `el motor ${f.name} está conectado`,
  gluetunUp: () => 'Gluetun dice que está en pie, y no hay motor al que preguntar',
  routeClosed: (f) =>
    `responde ${f.n} a ${f.value}: permita la ruta en su archivo de roles, o ponga GLUETUN_API_KEY, o GLUETUN_API_USERNAME y GLUETUN_API_PASSWORD`,
  unreadable: (f) => `su respuesta a ${f.value} no se puede leer`,
  strangeWord: (f) => `dice ${f.value} de su túnel, que este nodo no entiende`,
  portUseless: (f) => `ningún motor puede usar el puerto reenviado ${f.n}: ${f.why}`,
  controlListens: () => 'en él escucha el servidor de control de Gluetun',
  engineListens: (f) => `en él escucha el motor ${f.name}`,
  amongPorts: () => 'es uno de los puertos de sus motores',
  notUpYet: () => 'aún no se sabe si está en pie',
  makerGone: (f) => `el nodo ${f.node} que lo creó ya no es miembro`,
  otherCluster: (f) =>
    `lo creó el nodo ${f.node} en otro clúster, ${f.other}${f.value === undefined ? '' : ', que puede seguir vivo: adóptelo con --force solo si ya no existe'}`,
  madeBefore: (f) =>
    `lo creó el orquestador anterior, u otro con la etiqueta ${f.value}: adóptelo con --force solo si ya no existe`,

  vpnIs: (f) => `${f.vpn} de ${f.node}: ${f.why}`,
};
