// A forecaster's values and what it says of the steps after the last: the median, and bands as wide as they are likely.

import { DASHES, colour, faded, frame, legend, lonely, room, shown } from "./charts.js";

export class FanChart {
  #plot = null;
  #made = "";

  /** levels: percent of the intervals, as in lo-80, hi-80; inner ones first */
  constructor(host, { levels, height = 260 }) {
    Object.assign(this, { host, levels, height });
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(host);
  }

  /** Draws the values so far and the forecasts of each sequence; bands are those of the one that is chosen. */
  update(tracks, chosen) {
    const made = tracks.map((track) => track.key).join() + chosen.key;
    if (made !== this.#made) this.#build(tracks);
    this.#made = made;
    const ahead = Math.max(...tracks.map((track) => track.row(track.last)?.said.median.length ?? 0));
    const [first, last] = shown(tracks);
    const steps = Array.from({ length: last - first + 1 + ahead }, (_, i) => first + i);
    const values = tracks.map((track) => steps.map((n) => (n >= track.from ? one(track.row(n)?.x ?? null) : null)));
    const medians = tracks.map((track) => this.#ahead(track, steps, "median"));
    const bands = this.levels.flatMap((level) =>
      ["lo", "hi"].map((side) => this.#ahead(chosen, steps, `${side}-${level}`)),
    );
    this.#plot.setData([steps, ...values, ...medians, ...bands], false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", room(first, steps.at(-1)));
      if (!this.#plot.cursor.idx) this.#plot.setLegend({ idx: last - first + Math.min(1, ahead) });
    });
  }

  forget() {
    this.#made = "";
  }

  /** A forecast where its steps lie; it begins at the last value, so that it hangs together with it. */
  #ahead(track, steps, name) {
    const row = track.row(track.last);
    if (!row) return steps.map(() => null);
    return steps.map((n) => (n === track.last ? one(row.x) : (row.said[name][n - track.last - 1] ?? null)));
  }

  #size() {
    return { width: Math.max(200, this.host.clientWidth), height: this.height };
  }

  #build(tracks) {
    this.#plot?.destroy();
    const line = (label, name, dash) => ({
      label,
      stroke: colour(name),
      width: 2,
      dash,
      points: { show: lonely, size: 5, fill: colour(name) },
      value: (_, v) => legend(v),
    });
    const bound = (label) => ({ ...line(label, "line-0"), width: 0.5, points: { show: false } });
    const whose = (track, t) => (t ? `, ${track.name}` : "");
    const count = tracks.length;
    const series = [
      { label: "step" },
      ...tracks.map((track, t) => line(`value${whose(track, t)}`, "ink", DASHES[t % DASHES.length])),
      ...tracks.map((track, t) => line(`median${whose(track, t)}`, "line-0", DASHES[t % DASHES.length])),
      ...this.levels.flatMap((level) => [bound(`${level} % from`), bound(`to`)]),
    ];
    const bands = this.levels.map((level, i) => {
      const lo = 1 + 2 * count + 2 * i;
      return { series: [lo + 1, lo], fill: faded(colour("line-0"), i ? 0.14 : 0.26) };
    });
    const options = { ...this.#size(), series, bands, ...frame(null, tracks) };
    this.#plot = new uPlot(options, [[1], ...series.slice(1).map(() => [null])], this.host);
  }
}

const one = (x) => (Array.isArray(x) ? x[0] : x);
