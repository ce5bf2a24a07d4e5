/**
 * Walks through the panel in Chromium.
 *
 * `npm run walk` does it on fake nodes, which it also kills. `npm run walk -- --base http://HOST:8000/panel/ --key KEY` does
 * what harms nothing on a real cluster. `--only EXPRESSION` chooses checks by their names.
 */
import { parseArgs } from 'node:util';
import { freePorts, start } from '../dev/fake-node';
import { KEY } from '../dev/fake/rest';
import { launch, opener, runAll } from './kit';
import { engines } from './walk/engines';
import { events } from './walk/events';
import { faults } from './walk/faults';
import { hosts } from './walk/hosts';
import { keyboard } from './walk/keyboard';
import { logs } from './walk/logs';
import { overview } from './walk/overview';
import { pages } from './walk/pages';
import { reading } from './walk/reading';
import { settings } from './walk/settings';
import { shell } from './walk/shell';
import { silence } from './walk/silence';
import { spanish } from './walk/spanish';
import { states } from './walk/states';
import { streams } from './walk/streams';

const { values: args } = parseArgs({
  options: { base: { type: 'string' }, key: { type: 'string', default: KEY }, only: { type: 'string', default: '' } },
});
const PORTS = await freePorts(3);
const SUB = '/some/where/';
const browser = await launch();
const open = opener(browser, { base: args.base ?? `http://127.0.0.1:${PORTS[0]}${SUB}panel/`, key: args.key });

pages(open);
keyboard(open);
reading(open);
shell(open);
if (args.base === undefined) {
  const fake = start(PORTS, 40, 120, SUB);
  overview(open, fake);
  hosts(open, fake);
  silence(open, fake);
  engines(open, fake);
  streams(open, fake);
  settings(open, fake);
  logs(open, fake);
  events(open, fake);
  spanish(open, fake);
  states(browser);
  // The last, as it ends nodes.
  faults(open, fake);
}

const failed = await runAll(args.only);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
