// Numbers over steps as a map of colours: the hidden state, notes, many inputs.

import { GUTTER, LEAST, colour, said, shown } from "./charts.js";

const RIGHT = 12; // pixels, as the charts beside it have them
const BELOW = 22;

/** both: numbers have a sign, and 0 is the calm colour; otherwise the least of them is
 *  own:   each row has a scale of its own, for numbers that are measured in different units
 */
export class HeatMap {
  constructor(host, { what, both = true, own = false, range = null }) {
    Object.assign(this, { host, what, both, own, range });
    host.classList.add("heat");
    host.innerHTML = `<canvas role="img" tabindex="0"></canvas>
      <div class="scale"><span></span><i></i><span></span><output></output></div>`;
    this.canvas = host.querySelector("canvas");
    [this.low, this.high] = host.querySelectorAll("span");
    this.output = host.querySelector("output");
    host.querySelector("i").className = both ? "both" : "one";
    this.canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => this.#tell(null));
    this.canvas.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.rows && this.#draw()).observe(host);
  }

  /** of(row): its numbers, a list; the sequence's rows between the steps that charts show are drawn. */
  update(tracks, track, of) {
    const [first, last] = shown(tracks);
    this.first = first;
    this.columns = Math.max(last - first, LEAST) + 1;
    this.rows = [];
    for (let n = first; n <= track.last; n++) this.rows.push(track.row(n) ? of(track.row(n)) : null);
    this.#draw();
  }

  /** Draws something else from now on; shares: numbers between -1 and 1. */
  as(what, shares) {
    Object.assign(this, { what, range: shares ? [-1, 1] : null });
  }

  #clear() {
    this.canvas.width = this.canvas.clientWidth;
    this.low.textContent = this.high.textContent = "";
    this.output.textContent = "told of the next steps";
  }

  #draw() {
    const units = (this.units = Math.max(0, ...this.rows.map((row) => row?.length ?? 0)));
    if (!units) return this.#clear();
    this.scales = this.#scales(units);
    const width = Math.max(120, this.canvas.clientWidth);
    const height = Math.round(Math.min(320, Math.max(64, units * 12)));
    const dots = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * dots, height: (height + BELOW) * dots });
    this.canvas.style.height = `${height + BELOW}px`;
    Object.assign(this, { inner: width - GUTTER - RIGHT, height });
    const paper = this.canvas.getContext("2d");
    paper.scale(dots, dots);
    paper.imageSmoothingEnabled = false;
    paper.fillStyle = colour("calm");
    paper.fillRect(GUTTER, 0, this.inner, height);
    paper.drawImage(this.#picture(units), GUTTER, 0, (this.inner * this.rows.length) / this.columns, height);
    this.#label(paper, units);
    const all = this.own ? null : this.scales[0];
    this.low.textContent = all ? said(all[0]) : "least of each row";
    this.high.textContent = all ? said(all[1]) : "greatest";
    const [a, b] = shown([{ last: this.first + this.rows.length - 1 }]);
    this.canvas.setAttribute(
      "aria-label",
      `${this.what}: ${units} rows, steps ${this.first} to ${Math.max(a, b)}. Arrow keys read it.`,
    );
    this.#tell(this.at);
  }

  /** [low, high] of each unit: one for all, or its own. */
  #scales(units) {
    if (this.range) return Array(units).fill(this.range);
    const of = (numbers) => {
      const there = numbers.filter((v) => v !== null && Math.abs(v) < 1e30);
      const low = there.reduce((a, b) => Math.min(a, b), Infinity),
        high = there.reduce((a, b) => Math.max(a, b), -Infinity);
      const most = Math.max(Math.abs(low), Math.abs(high), 1e-6);
      return !there.length ? [0, 1] : this.both ? [-most, most] : [low, high];
    };
    if (this.own) return Array.from({ length: units }, (_, u) => of(this.rows.map((row) => row?.[u] ?? null)));
    return Array(units).fill(of(this.rows.flatMap((row) => row ?? [])));
  }

  #picture(units) {
    const picture = new OffscreenCanvas(this.rows.length, units),
      paper = picture.getContext("2d");
    const image = paper.createImageData(this.rows.length, units);
    const [cold, calm, warm] = ["cold", "calm", "warm"].map((name) => parts(colour(name)));
    this.rows.forEach((row, t) =>
      row?.forEach((v, u) => {
        if (v === null) return;
        const [low, high] = this.scales[u];
        const share = this.both ? v / (high || 1) : (v - low) / (high - low || 1);
        const to = share < 0 ? cold : warm,
          s = Math.min(1, Math.abs(share)) ** 0.8;
        const place = 4 * (u * this.rows.length + t);
        for (let c = 0; c < 3; c++) image.data[place + c] = calm[c] + (to[c] - calm[c]) * s;
        image.data[place + 3] = 255;
      }),
    );
    paper.putImageData(image, 0, 0);
    return picture;
  }

  #label(paper, units) {
    paper.fillStyle = colour("quiet");
    paper.font = "12px system-ui, sans-serif";
    paper.textAlign = "right";
    paper.textBaseline = "top";
    paper.fillText("1", GUTTER - 6, 0);
    paper.textBaseline = "bottom";
    if (units > 1) paper.fillText(String(units), GUTTER - 6, this.height);
    paper.textBaseline = "top";
    paper.textAlign = "center";
    const every = [1, 2, 5, 10, 20, 50, 100, 200].find((n) => (this.columns / n) * 44 < this.inner) ?? 500;
    for (let n = Math.ceil(this.first / every) * every; n < this.first + this.columns; n += every)
      paper.fillText(String(n), GUTTER + ((n - this.first + 0.5) * this.inner) / this.columns, this.height + 6);
  }

  #point(x, y) {
    const t = Math.floor(((x - GUTTER) / this.inner) * this.columns),
      u = Math.floor((y / this.height) * this.units);
    this.#tell(x < GUTTER || t >= this.rows.length || u >= this.units ? null : [t, u]);
  }

  #move(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by || !this.rows) return;
    event.preventDefault();
    const [t, u] = this.at ?? [this.rows.length - 1, 0];
    const within = (n, size) => Math.max(0, Math.min(size - 1, n));
    this.#tell([within(t + by[0], this.rows.length), within(u + by[1], this.units)]);
  }

  #tell(at) {
    this.at = at;
    const v = at && this.rows[at[0]]?.[at[1]];
    this.output.textContent = at && v !== undefined ? `step ${this.first + at[0]}, row ${at[1] + 1}: ${said(v)}` : "";
  }
}

function parts(hex) {
  const full = hex.length === 4 ? [...hex.slice(1)].map((c) => c + c).join("") : hex.slice(1);
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16));
}
