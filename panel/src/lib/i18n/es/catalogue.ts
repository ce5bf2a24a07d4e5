/** Spanish: what cluster-wide settings are. The first sentence of each description, which is what the panel shows. */
import type { Catalogue } from '../catalogue';

export const catalogue: Catalogue = {
  sections: {
    Cluster: 'Clúster',
    'Docker and engines': 'Docker y motores',
    'How many engines': 'Cuántos motores',
    'Health, statistics, circuit breakers': 'Salud, estadísticas, cortacircuitos',
  },
  units: { engines: 'motores', failures: 'fallos', s: 's' },
  about: {
    ACEFLEET_DOWN_AFTER_S:
      'Un nodo que no responde a ningún miembro durante este tiempo está caído: sus motores salen de la lista y se reemplazan en otros, sus emisiones terminan.',
    CONTAINER_LABEL: 'Etiqueta que marca los contenedores propios.',
    PORT_RANGE_HOST: 'Puertos de los motores en sus hosts.',
    ACE_HTTPS_RANGE: 'Puertos HTTPS de los motores dentro de sus contenedores.',
    ACE_MAP_HTTPS: 'Publicar también el puerto HTTPS de cada motor, en un segundo puerto de PORT_RANGE_HOST.',
    STARTUP_TIMEOUT_S: 'Cuánto puede tardar un motor nuevo en tener su contenedor en marcha.',
    MIN_REPLICAS: 'Motores que hay siempre en todo el clúster.',
    MIN_FREE_REPLICAS: 'Motores sin emisión que están listos en todo el clúster.',
    ACEFLEET_SPARE_FOR_HOST:
      'Mantener libres en otros hosts tantos motores como emisiones tenga cualquiera de ellos, para que sus espectadores hallen otros si se pierde.',
    MAX_REPLICAS: 'Máximo de motores en todo el clúster, los pida quien los pida.',
    AUTO_DELETE: 'Quitar los motores libres desde hace ENGINE_GRACE_PERIOD_S, hasta los mínimos de arriba.',
    ENGINE_GRACE_PERIOD_S:
      'Cuánto debe estar libre un motor para que AUTO_DELETE lo saque de la lista, 0 para enseguida; se para 35 s después.',
    IDLE_TTL_S: 'Cuánto debe estar libre un motor para que una llamada a /gc lo quite.',
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: 'Arranques fallidos seguidos que detienen los siguientes.',
    CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S: 'Cuánto tras el último fallo hasta que se prueba otro arranque.',
    CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD:
      'Lo mismo para reemplazos de motores que fallaron o perdieron su VPN: fallos seguidos.',
    CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S:
      'Lo mismo para reemplazos de motores que fallaron o perdieron su VPN: tiempo hasta el siguiente intento.',
  },
};
