/** Spanish: words of all pages. */
import type { Words } from '../en';
import { plural, someEngines, someStreams, someHosts } from './count';

export const pages: Words['pages'] = {
  overview: 'Resumen',
  hosts: 'Hosts',
  engines: 'Motores',
  streams: 'Emisiones',
  vpn: 'VPN',
  logs: 'Registros',
  events: 'Eventos',
  cluster: 'Clúster',
  settings: 'Ajustes',
};

export const n: Words['n'] = {
  engines: someEngines,
  streams: someStreams,
  hosts: someHosts,
  lines: (v) => plural(v, 'línea', 'líneas'),
  entries: (v) => plural(v, 'entrada', 'entradas'),
  peers: (v) => plural(v, 'par', 'pares'),
};

export const common: Words['common'] = {
  close: 'Cerrar',
  cancel: 'Cancelar',
  copy: 'Copiar',
  copied: 'Copiado.',
  more: 'Más',
  of: 'de',
  undo: 'Deshacer',
  undone: 'Deshecho.',
  all: 'Todos',
  unknown: 'desconocido',
  since: (t, a) => `desde ${t}, ${a}`,
  details: 'Detalles',
  loading: 'Cargando',
  pages: 'Páginas',
  results: 'Resultados',
  skip: 'Ir al contenido',
  now: 'ahora',
  on: 'en',
  free: 'libre',
  tryAgain: 'Reintentar',
};

export const key: Words['key'] = {
  title: 'La clave de este clúster',
  text: 'Esto la necesita. Se envía una vez y no se guarda: esta pestaña guarda un token unas horas.',
  label: 'Clave de la API',
  enter: 'Entrar',
  later: 'Solo mirar',
  refused: 'Esa clave fue rechazada.',
  forget: 'Salir',
  where: '«acefleet key» la muestra en el host donde se creó el clúster.',
};

export const palette: Words['palette'] = {
  label: 'Buscar o hacer',
  placeholder: 'Página, host, motor, emisión o acción',
  nothing: 'No se encontró nada. Pruebe un host, un número de motor o una página.',
  now: 'Ahora',
  goTo: 'Ir a',
  act: 'Hacer',
  view: 'Vista',
  switchTheme: 'Cambiar tema',
  switchLang: 'English / Español',
};

export const keys: Words['keys'] = {
  anywhere: 'En todas partes',
  search: 'Buscar o hacer',
  map: 'Este mapa',
  theme: 'Tema',
  wall: 'Pantalla mural',
  close: 'Cerrar',
  filter: 'Filtrar',
  goTo: 'Ir a',
  lists: 'Listas',
  move: 'Siguiente, anterior',
  open: 'Abrir',
  select: 'Elegir',
  first: 'Primero, último',
  logs: 'Registros',
  follow: 'Seguir sí, no',
  charts: 'Gráficas',
  read: 'Leer valores',
};
