// Lines over steps, drawn by uPlot: one of each sequence, dashed where it is a what-if.

export const WINDOW = 240; // steps that are shown at once
export const GUTTER = 56; // pixels left of every chart, so that their steps lie under one another
export const DASHES = [[], [7, 5], [2, 3], [12, 4, 2, 4]];
export const LEAST = 20; // steps after the first that an axis has room for at once, so that the first few do not jump

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const lineColour = (i) => colour(`line-${i % 8}`);
export const faded = (hex, alpha) =>
  `${hex}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0")}`;

/** The steps that charts show, those of the longest sequence: [first, last]. */
export function shown(tracks) {
  const last = Math.max(1, ...tracks.map((track) => track.last));
  return [Math.max(1, last - WINDOW + 1), last];
}

/** The x that steps take: each has the width of one, as a column of a map has. */
export const room = (first, last) => ({ min: first - 0.5, max: Math.max(last, first + LEAST) + 0.5 });

/** A chart of lines.
 *
 *  lines  [{name, at(row, before): number or null, colour?, thin?, dots?, level?}]; what-ifs have no level of their own
 *  range  [low, high] of y, or null: that of the numbers
 */
export class LineChart {
  #plot = null;
  #made = "";

  constructor(host, { lines, range = null, height = 190 }) {
    Object.assign(this, { host, lines, range, height });
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(host);
  }

  /** Draws what has come; chosen: the sequence whose lines are on top. */
  update(tracks) {
    const made = tracks.map((track) => track.key).join();
    if (made !== this.#made) this.#build(tracks);
    this.#made = made;
    const [first, last] = shown(tracks);
    const steps = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const data = this.#each(tracks).map(({ track, line }) =>
      steps.map((n) => (n >= track.from && track.row(n) ? line.at(track.row(n), track.row(n - 1)) : null)),
    );
    this.#plot.setData([steps, ...data], false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", room(first, last));
      if (!this.#plot.cursor.idx) this.#plot.setLegend({ idx: steps.length - 1 });
    });
  }

  /** As new: the colours have changed. */
  forget() {
    this.#made = "";
  }

  #each(tracks) {
    return tracks.flatMap((track, t) =>
      this.lines.map((line, i) => ({ track, line, t, i })).filter(({ line, t }) => t === 0 || !line.level),
    );
  }

  #size() {
    return { width: Math.max(200, this.host.clientWidth), height: this.height };
  }

  #build(tracks) {
    this.#plot?.destroy();
    const series = this.#each(tracks).map(({ track, line, t, i }) => lineOf(line, i, t, track.name));
    const options = { ...this.#size(), series: [{ label: "step" }, ...series], ...frame(this.range, tracks) };
    this.#plot = new uPlot(options, [[1], ...series.map(() => [null])], this.host);
  }
}

function lineOf(line, i, t, name) {
  const stroke = line.colour ? colour(line.colour) : lineColour(i);
  return {
    label: t ? `${line.name}, ${name}` : line.name,
    stroke: line.thin ? faded(stroke, 0.6) : stroke,
    width: line.thin ? 1.2 : 2,
    dash: line.level ? [4, 4] : DASHES[t % DASHES.length],
    paths: line.dots ? () => null : undefined,
    points: line.dots ? { show: true, size: 9, fill: stroke } : { show: lonely, size: 5, fill: stroke },
    value: (_, v) => legend(v),
  };
}

/** In a legend what is not there takes no room. */
export const legend = (v) => (v === null || v === undefined ? "" : said(v));

/** Points are drawn while there are few: a line needs two. */
export const lonely = (plot) => plot.data[0].length <= 30;

/** What all charts have: axes in the page's colours, steps below, no zoom that a finger would start by mistake. */
export function frame(range, tracks) {
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
  const font = "12px system-ui, sans-serif";
  return {
    padding: [10, 12, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
    legend: {
      live: true,
      markers: {
        width: 3,
        fill: () => "transparent",
        dash: (plot, i) => (plot.series[i].dash?.length ? "dashed" : "solid"),
      },
    },
    hooks: { drawAxes: [(plot) => tracks.forEach((track) => track.from && forked(plot, track.from))] },
    scales: { x: { time: false }, y: range ? { range: () => range } : { range: roomy } },
    axes: [
      { ...axis, font, size: 26, gap: 4, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
      { ...axis, font, size: GUTTER, gap: 6, space: 26 },
    ],
  };
}

/** A mark at the step after which a what-if goes its own way. */
function forked(plot, step) {
  const x = Math.round(plot.valToPos(step, "x", true)),
    { left, top, width, height } = plot.bbox;
  if (x < left || x > left + width) return;
  plot.ctx.save();
  Object.assign(plot.ctx, { strokeStyle: colour("quiet"), lineWidth: devicePixelRatio });
  plot.ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(x, top);
  plot.ctx.lineTo(x, top + height);
  plot.ctx.stroke();
  plot.ctx.restore();
}

/** A little more than the numbers take, and no flat line on the edge. */
function roomy(plot, low, high) {
  if (low === null) return [0, 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** A number as it is told: short, and no more than it is worth. */
export function said(v) {
  if (v === null || v === undefined) return "–";
  if (typeof v !== "number") return String(v);
  const size = Math.abs(v);
  const text = size >= 1e5 || (v && size < 1e-3) ? v.toExponential(2) : String(Number(v.toPrecision(4)));
  return text.replaceAll("-", "−");
}
