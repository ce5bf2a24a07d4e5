/** English: words of all pages. */
import { plural, someEngines, someStreams, someHosts } from './count';

export const pages = {
  overview: 'Overview',
  hosts: 'Hosts',
  engines: 'Engines',
  streams: 'Streams',
  vpn: 'VPN',
  logs: 'Logs',
  events: 'Events',
  cluster: 'Cluster',
  settings: 'Settings',
};

export const n = {
  engines: someEngines,
  streams: someStreams,
  hosts: someHosts,
  lines: (v: number) => plural(v, 'line', 'lines'),
  entries: (v: number) => plural(v, 'entry', 'entries'),
  peers: (v: number) => plural(v, 'peer', 'peers'),
};

export const common = {
  close: 'Close',
  cancel: 'Cancel',
  copy: 'Copy',
  copied: 'Copied.',
  more: 'More',
  of: 'of',
  undo: 'Undo',
  undone: 'Undone.',
  all: 'All',
  unknown: 'unknown',
  since: (t: string, a: string) => `since ${t}, ${a}`,
  details: 'Details',
  loading: 'Loading',
  pages: 'Pages',
  results: 'Results',
  skip: 'Skip to content',
  now: 'now',
  on: 'on',
  free: 'free',
  tryAgain: 'Try again',
};

export const key = {
  title: 'The key of this cluster',
  text: 'This needs it. It is sent once and not kept: this tab keeps a token for some hours.',
  label: 'API key',
  enter: 'Sign in',
  later: 'Only look',
  refused: 'That key was refused.',
  forget: 'Sign out',
  where: '“acefleet key” prints it on the host where the cluster was made.',
};

export const palette = {
  label: 'Search or do',
  placeholder: 'Page, host, engine, stream or action',
  nothing: 'Nothing found. Try a host, an engine number, or a page.',
  now: 'Now',
  goTo: 'Go to',
  act: 'Do',
  view: 'View',
  switchTheme: 'Switch theme',
  switchLang: 'Español / English',
};

export const keys = {
  anywhere: 'Anywhere',
  search: 'Search or do',
  map: 'This map',
  theme: 'Theme',
  wall: 'Wall screen',
  close: 'Close',
  filter: 'Filter',
  goTo: 'Go to',
  lists: 'Lists',
  move: 'Next, previous',
  open: 'Open',
  select: 'Select',
  first: 'First, last',
  logs: 'Logs',
  follow: 'Follow on, off',
  charts: 'Charts',
  read: 'Read values',
};
