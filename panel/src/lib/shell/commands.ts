/** Everything that the palette offers, and how it is found. */
import { resetBreaker, cordon, drain, lead, uncordon } from '../actions/hosts';
import { startEngine, stopEngine } from '../actions/engines';
import { id } from '../format/format';
import { i18n } from '../i18n/i18n.svelte';
import { LETTER, PAGES, router } from '../router/router.svelte';
import { fleet } from '../store/fleet.svelte';
import { prefs } from '../store/prefs.svelte';
import { serves } from '../store/status';
import { explain } from '../api/explain';
import { toasts } from '../ui/toasts.svelte';
import { panels } from './panels.svelte';
import { wall } from './wall';

export interface Command {
  group: string;
  text: string;
  icon: string;
  /** What stands at the right: a state, or keys. */
  hint: string;
  keys?: string[];
  run: () => void;
}

const now = (p: Promise<unknown>) => void p.catch((e: unknown) => toasts.show(explain(e, i18n.t)));

/** All commands at this moment, those that are needed now first. */
export function commands(): Command[] {
  const t = i18n.t;
  const out: Command[] = [];
  for (const e of fleet.engines.filter((x) => x.word === 'unhealthy').slice(0, 3)) {
    out.push({
      group: t.palette.now,
      text: `${t.engines.stopTitle(e.name).replace(/[¿?]/g, '')}…`,
      icon: 'bad',
      hint: t.engine.unhealthy,
      run: () => stopEngine(e),
    });
  }
  for (const p of fleet.problems) {
    if (p.kind === 'breaker')
      out.push({
        group: t.palette.now,
        text: t.attention.reset,
        icon: 'warn',
        hint: p.state,
        run: () => now(resetBreaker(p.which)),
      });
  }
  for (const p of PAGES) {
    out.push({
      group: t.palette.goTo,
      text: t.pages[p],
      icon: p,
      hint: '',
      keys: ['g', LETTER[p]],
      run: () => router.go(p),
    });
  }
  out.push({ group: t.palette.act, text: t.engines.start, icon: 'plus', hint: '', run: startEngine });
  for (const h of fleet.hosts) {
    const on = h.node.availability !== 'active';
    if (on)
      out.push({
        group: t.palette.act,
        text: `${h.key}: ${t.hosts.uncordon}`,
        icon: 'play',
        hint: t.host[h.word],
        run: () => now(uncordon(h.key)),
      });
    else {
      out.push({
        group: t.palette.act,
        text: `${h.key}: ${t.hosts.drain}`,
        icon: 'drain',
        hint: '',
        run: () => drain(h),
      });
      out.push({
        group: t.palette.act,
        text: `${h.key}: ${t.hosts.cordon}`,
        icon: 'pause',
        hint: '',
        run: () => now(cordon(h.key)),
      });
    }
  }
  for (const h of fleet.hosts.filter((x) => !x.leads && x.node.role !== 'learner' && serves(x)))
    out.push({
      group: t.palette.act,
      text: t.cluster.leadOf(h.key),
      icon: 'crown',
      hint: '',
      run: () => now(lead(h.key)),
    });
  out.push({ group: t.palette.act, text: t.hosts.add, icon: 'plus', hint: '', run: () => (panels.open = 'join') });
  out.push({
    group: t.palette.view,
    text: t.palette.switchTheme,
    icon: 'sun',
    hint: '',
    keys: ['t'],
    run: () => prefs.nextTheme(),
  });
  out.push({
    group: t.palette.view,
    text: t.palette.switchLang,
    icon: 'lang',
    hint: '',
    run: () => prefs.setLang(prefs.lang === 'en' ? 'es' : 'en'),
  });
  out.push({
    group: t.palette.view,
    text: t.shell.wall,
    icon: 'wall',
    hint: '',
    keys: ['w'],
    run: () => wall.toggle(),
  });
  for (const h of fleet.hosts)
    out.push({ group: t.pages.hosts, text: h.key, icon: 'hosts', hint: t.host[h.word], run: () => router.go('hosts') });
  for (const e of fleet.engines) {
    out.push({
      group: t.pages.engines,
      text: e.name,
      icon: e.tone,
      hint: `${e.node}, ${t.engine[e.word]}`,
      run: () => router.go('engines', { sel: e.key }),
    });
  }
  for (const s of fleet.live) {
    out.push({
      group: t.pages.streams,
      text: id(s.stream.key),
      icon: 'streams',
      hint: s.engine?.name ?? s.stream.container_id,
      run: () => router.go('streams', { sel: s.key }),
    });
  }
  return out;
}

/** Commands in which every word is found; without words those that fit a short list. */
export function search(all: readonly Command[], words: string): Command[] {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (parts.length === 0) return all.slice(0, 20);
  return all.filter((c) => parts.every((p) => `${c.text} ${c.group} ${c.hint}`.toLowerCase().includes(p))).slice(0, 14);
}
