/** The address behind `#`: a page and its parameters, `#/engines?host=node-a&sel=12`. */
export const PAGES = [
  'overview',
  'hosts',
  'engines',
  'streams',
  'vpn',
  'logs',
  'events',
  'cluster',
  'settings',
] as const;
export type Page = (typeof PAGES)[number];

/** The letter that follows `g`. */
export const LETTER: Record<Page, string> = {
  overview: 'o',
  hosts: 'h',
  engines: 'e',
  streams: 's',
  vpn: 'v',
  logs: 'l',
  events: 'n',
  cluster: 'c',
  settings: 'p',
};

export interface Place {
  page: Page;
  params: URLSearchParams;
}

/** Reads an address; what is unknown leads to the overview. */
export function parse(hash: string): Place {
  const m = /^#\/([a-z]+)(?:\?(.*))?$/.exec(hash);
  const page = PAGES.find((p) => p === m?.[1]) ?? 'overview';
  return { page, params: new URLSearchParams(m?.[2] ?? '') };
}

export function href(page: Page, params: Record<string, string | null | undefined> = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v) q.set(k, v);
  const s = q.toString();
  return `#/${page}${s === '' ? '' : `?${s}`}`;
}

class Router {
  place: Place = $state.raw(parse(location.hash));

  /** On its way back to the entry before. */
  private leaving = false;

  constructor() {
    addEventListener('hashchange', () => {
      this.leaving = false;
      this.place = parse(location.hash);
    });
  }

  get page(): Page {
    return this.place.page;
  }

  get(name: string): string | null {
    return this.place.params.get(name);
  }

  all(name: string): string[] {
    return this.place.params.getAll(name);
  }

  go(page: Page, params: Record<string, string | null | undefined> = {}): void {
    location.hash = href(page, params);
    // Browsers tell of it later, and a second key may come before.
    this.place = parse(location.hash);
  }

  /** Goes back to the page before. Browsers do it later, and a second key that comes before goes no further back. */
  back(): void {
    if (this.leaving) return;
    this.leaving = true;
    history.back();
  }

  /** Changes parameters in place: filters and sheets leave no trace in the browser's history. */
  set(params: Record<string, string | string[] | null>): void {
    const q = new URLSearchParams(this.place.params);
    for (const [k, v] of Object.entries(params)) {
      q.delete(k);
      for (const x of v === null ? [] : Array.isArray(v) ? v : [v]) if (x !== '') q.append(k, x);
    }
    const s = q.toString();
    history.replaceState(null, '', `#/${this.page}${s === '' ? '' : `?${s}`}`);
    this.place = { page: this.page, params: q };
  }
}

export const router = new Router();
