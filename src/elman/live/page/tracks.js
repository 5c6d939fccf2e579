// Sequences that are watched: the first, and those that were forked from it to see what would be, if.

import { source } from "./source.js";

const KEPT = 2000; // steps of each that the page remembers
export const MOST = 4;

export class Track {
  #rows = new Map();
  own = true; // not one that others push to

  /** from: the step at which it was forked; of the first sequence 0 */
  constructor(name, told, { steps = 0 } = {}) {
    this.key = `page ${name} ${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
    Object.assign(this, { name, told, from: steps, last: steps });
    this.stream = source.open(this.key, steps, told);
  }

  /** A sequence that others push to; drawn(): called after each of its steps. */
  static watching(key, steps, told, drawn) {
    const track = new Track(key, told, { steps });
    Object.assign(track, { key, own: false, from: 0 });
    const came = ({ x, ...message }) => {
      track.#take(x, message);
      drawn(track);
    };
    track.stream = source.watch(key, came, told);
    return track;
  }

  /** {x, said, y, state} of a step, or undefined. */
  row(number) {
    return this.#rows.get(number);
  }

  async push(x) {
    this.#take(x, await this.stream.push(x));
  }

  #take(x, { number, answer, y, state, gates }) {
    this.last = number;
    this.#rows.set(number, { x, said: answer, y, state, gates });
    this.#rows.delete(number - KEPT);
  }

  /** A copy that goes on by itself. */
  async fork(name) {
    const copy = new Track(name, this.told, { steps: this.last });
    const { steps } = await source.fork(this.key, copy.key);
    copy.last = copy.stream.steps = steps; // of one that others push to there may be more than have come here
    copy.#rows = new Map(this.#rows);
    return copy;
  }

  /** Leaves nothing behind, where answers come from neither. */
  async end() {
    this.stream.close();
    if (this.own && this.last) await source.forget(this.key);
  }
}
