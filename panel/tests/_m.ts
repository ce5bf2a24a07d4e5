import { readFileSync } from 'node:fs';
import { launch } from './browser';
const [out, cols, w, ...files] = process.argv.slice(2);
const b = await launch();
const p = await (await b.newContext({ viewport: { width: Number(cols) * (Number(w) + 8), height: 600 } })).newPage();
await p.setContent(
  `<body style="margin:0;background:#888;display:grid;grid-template-columns:repeat(${cols},${w}px);gap:8px;align-items:start">` +
    files
      .map((f) => `<img style="width:${w}px" src="data:image/png;base64,${readFileSync(f).toString('base64')}">`)
      .join(''),
);
await p.waitForTimeout(300);
await p.screenshot({ path: out as string, fullPage: true });
await b.close();
