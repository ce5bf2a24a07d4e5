/** Spanish: reasons that the API gives as codes. */
import type { Words } from '../en';
import { someEngines } from './count';

const more = (what: string, why: string) => (why === '' ? what : `${what}: ${why}`);

export const passedOver: Words['passedOver'] = {
  unregistered: () => 'aún no se ha registrado',
  down: () => 'está caído',
  unavailable: () => 'está ausente: no responde a ningún miembro',
  cordoned: () => 'está acordonado',
  draining: () => 'se está vaciando',
  docker: (why) => more('no puede usar su Docker', why),
  stopping: () => 'se está parando',
  docker_unknown: () => 'aún no ha dicho que su Docker responde',
  unresponsive: () => 'no responde al líder',
  failed: () => 'ha fallado para esta llamada',
  failing: (why) => more('no consigue arrancar motores', why),
  no_vpn: () => 'no tiene ninguna VPN conectada',
  no_port: () => 'no tiene ningún puerto libre',
  full: (setting, n) =>
    `está lleno: tiene ${someEngines(Number(n))}, ${setting === 'MAX_REPLICAS' ? 'tantos como MAX_REPLICAS permite a todos los hosts juntos' : 'que es su ACEFLEET_CAPACITY'}`,
  lacks: (why) => more('le falta algo', why),
};

export const blockedBy: Words['blockedBy'] = {
  no_leader: 'El clúster no tiene líder',
  no_settings: 'El clúster acaba de formarse y sus ajustes aún no están en vigor',
  docker_unavailable: 'No responde el Docker de ningún host',
  vpn_disconnected: 'Ninguna VPN está conectada',
  max_capacity: 'Ya hay tantos motores como se permite',
  circuit_breaker: 'Fallaron demasiados arranques seguidos',
  registry_full: 'El registro está lleno',
  no_free_ports: 'No queda ningún puerto de host',
  image_missing: 'Ningún host con sitio tiene la imagen',
  network_missing: 'Ningún host con sitio tiene la red Docker',
  no_host: 'Ningún host puede aceptar un motor',
};

export const causes: Words['causes'] = {
  docker_unavailable: 'no se puede usar el Docker de su host',
  docker_error: 'Docker rechazó un paso del arranque',
  host_silent: 'su host no respondió',
  vpn_error: 'su VPN no pudo aceptarlo',
  not_allowed: 'su host no lo arranca',
  image_pulling: 'su host aún descarga la imagen',
  image_missing: 'a su host le falta la imagen',
  network_missing: 'a su host le falta la red Docker',
  port_taken: 'su puerto de host está en uso',
  no_free_ports: 'no quedaba ningún puerto de host',
  conflict: 'varios puertos seguidos estaban en uso',
  startup_timeout: 'no funcionó a tiempo',
  exited: 'su contenedor terminó por sí mismo',
  oom: 'se quedó sin memoria',
  vanished: 'su contenedor ya no estaba',
  stopped: 'su host lo paró',
  deleted: 'lo paró un cliente de la API',
  replaced: 'un cliente de la API pidió reemplazarlo',
  scaled_down: 'un cliente de la API redujo el número',
  idle_ttl: 'estuvo libre durante IDLE_TTL_S',
  idle: 'estaba libre',
  drained: 'su host se vació',
  vpn_misplaced: 'funcionaba fuera de las VPN de su host',
  vpn_unhealthy: 'su VPN estaba caída',
  vpn_port_changed: 'su VPN reenvía otro puerto',
  vpn_reconnected: 'su VPN se conectó de nuevo tras un corte largo',
  vpn_recreated: 'su VPN se hizo de nuevo',
  unhealthy: 'fallaba',
  node_removed: 'su host fue quitado',
};

export const ends: Words['ends'] = {
  unknown: 'no indicado',
  host_down: 'su host está caído',
  engine_gone: 'su motor ya no existe',
  stale_stream_detected: 'su motor ya no la conoce',
  unwatched: 'nadie la terminó en un día',
  crowded_out: 'no se podía preguntar por demasiadas emisiones',
  unviewed: '30\u00a0s sin cifras ni clientes',
  manual_stop_via_api: 'la paró un cliente de la API',
  'superseded by a new session': 'otra sesión tomó su id',
  'ended before it was reported as started': 'su fin se comunicó antes que su inicio',
};

export const proxyEnds: Words['proxyEnds'] = {
  completed: 'llegó a su fin',
  client_disconnected: 'el espectador se fue',
  handler_exit: 'el proxy la soltó',
  empty_timeout: 'su motor no envió nada',
  timeout: 'su motor respondió tarde',
  network_error: 'falló la red',
  eof: 'su motor la cortó',
  closed_pipe: 'se cerró una conexión',
  closed_connection: 'se cerró una conexión',
  buffer_error: 'un error del proxy',
  memory_error: 'al proxy le faltó memoria',
  error: 'un error del proxy',
  panic: 'el proxy falló',
  start_stream_failed: 'el proxy no pudo iniciarla',
  fetch_stream_failed: 'el proxy no pudo leerla',
};

export const keyTypes: Words['keyTypes'] = {
  content_id: 'id de contenido',
  infohash: 'infohash',
  url: 'URL',
  magnet: 'enlace magnet',
  torrent_url: 'URL de un torrent',
  direct_url: 'URL directa',
  raw_data: 'archivo torrent',
};

export const credentials: Words['credentials'] = {
  'API key': 'clave de API',
  'command line': 'línea de órdenes',
  'no key': 'sin clave',
};

export const leaderReasons: Words['leaderReasons'] = {
  asked: (by) => (by === null ? 'alguien lo pidió' : `pedido por ${by}`),
  leader_stopped: () => 'el líder anterior se paró',
  leader_drained: () => 'el líder anterior se vacía',
  unknown: () => 'el líder anterior dejó de responder',
};
