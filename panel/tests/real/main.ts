/**
 * Walks through the panel of a real cluster whose owner can break it (`scripts/panel.sh real`, used by the scenario
 * `panel`). Options: `--nodes NAME=URL,…`, `--key KEY`, `--kills N`, `--changes N` for the figures, `--shots FOLDER` for
 * pictures, `--only WORDS`.
 */
import { parseArgs } from 'node:util';
import { check, ensure, launch, opener, runAll, same } from '../kit';
import { keyboard } from '../walk/keyboard';
import { pages } from '../walk/pages';
import { reading } from '../walk/reading';
import { actions } from './actions';
import { Bed } from './bed';
import { faults } from './faults';
import { measures } from './measures';
import { proxy } from './proxy';
import { live } from './screen';
import { shots } from './shots';

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '' },
    key: { type: 'string', default: '' },
    kills: { type: 'string', default: '1' },
    changes: { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    shots: { type: 'string', default: '' },
  },
});
const bed = Bed.parse(args.nodes, args.key);
const home = bed.nodes[0]?.base ?? '';
const browser = await launch();
const open = opener(browser, { base: `${home}panel/`, key: args.key });

const FOLDER = '/some/where/';
const behind = await proxy(0, FOLDER, home);
const address = behind.address();
const port = typeof address === 'object' && address !== null ? address.port : 0;
const openBehind = opener(browser, { base: `http://127.0.0.1:${port}${FOLDER}panel/`, key: args.key });

if (args.shots !== '') shots(open, bed, args.shots);
pages(open);
keyboard(open);
reading(open);
check('it works in a folder of another server', async () => {
  const { page, errors, done } = await openBehind('engines');
  await live(page);
  await page.locator('.t-eng [role=row][data-at="0"]').click();
  await page.waitForSelector('.sheet');
  ensure(page.url().includes(FOLDER), page.url());
  same(errors, [], 'errors of the page');
  await done();
});
actions(open, bed);
faults(open, bed);
measures(open, bed, Number(args.kills), Number(args.changes));

const failed = await runAll(args.only);
await browser.close();
behind.closeAllConnections();
process.exit(failed === 0 ? 0 : 1);
