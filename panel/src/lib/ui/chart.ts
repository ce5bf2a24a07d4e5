/** The chart of a stream on uPlot: speeds on the left, peers on the right. Its colours are the tokens of the theme. */
import uPlot from 'uplot';

export type Data = [x: number[], down: (number | null)[], up: (number | null)[], peers: (number | null)[]];

/** Distances of marks where halves mean nothing. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** A token as a colour that a canvas understands. */
function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const c = getComputedStyle(probe).color;
  probe.remove();
  return c;
}

export interface Options {
  width: number;
  height: number;
  /** Index of the point under the cursor; null when there is none. */
  onpoint: (i: number | null) => void;
  /** Text of a mark at a time; `step` is the distance of marks. Both in milliseconds. */
  mark: (t: number, step: number) => string;
  /** A number of an axis, in the viewer's language. */
  number: (v: number, digits: number) => string;
}

export function dual(node: HTMLElement, data: Data, o: Options): uPlot {
  const [s1, s2, s3, grid, text] = ['--s1', '--s2', '--s3', '--line', '--fg2'].map(colour) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const fill = s1.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.13)');
  const font = '11px system-ui, sans-serif';
  const numbers: uPlot.Axis.Values = (_u, v, _i, _s, step) => v.map((n) => o.number(n, Number.isInteger(step) ? 0 : 1));
  const axis = { stroke: text, font, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
  return new uPlot(
    {
      width: o.width,
      height: o.height,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: {
        x: { time: true },
        mbit: { range: (_u, _lo, hi) => [0, Math.max(1, (hi ?? 0) * 1.1)] },
        peers: { range: (_u, _lo, hi) => [0, Math.max(4, Math.ceil((hi ?? 0) * 1.25))] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 80,
          size: 26,
          values: (_u, v, _i, _s, step) => v.map((t) => o.mark(t * 1000, step * 1000)),
        },
        { ...axis, scale: 'mbit', size: 34, space: 34, values: numbers },
        { ...axis, scale: 'peers', side: 1, size: 34, space: 34, incrs: WHOLE, grid: { show: false }, values: numbers },
      ],
      series: [
        {},
        { scale: 'mbit', stroke: s1, width: 2, fill },
        { scale: 'mbit', stroke: s2, width: 2, dash: [6, 3] },
        {
          scale: 'peers',
          stroke: s3,
          width: 1,
          dash: [1.5, 2.5],
          ...(uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
        },
      ],
      hooks: { setCursor: [(u) => o.onpoint(u.cursor.idx ?? null)] },
    },
    data,
    node,
  );
}
