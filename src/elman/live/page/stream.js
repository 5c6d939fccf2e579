// A sequence over a WebSocket: one step at a time, each with its number, so that none is lost or counted twice.

import { socketAddress } from "./api.js";

const TRIES = 8;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class LostError extends Error {}

export class Stream {
  gates = false; // whether answers are to tell them
  #socket = null;
  #turn = Promise.resolve();

  /** steps: how many were counted; told(state): "live", "lost" or "idle" whenever that changes */
  constructor(key, steps, told) {
    this.key = key;
    this.steps = steps;
    this.told = told;
  }

  /** The answer to one more step, after those before it; throws an Error with the server's line. */
  push(x) {
    const found = this.#turn.then(() => this.#push(x));
    this.#turn = found.catch(() => {});
    return found;
  }

  close() {
    this.#socket?.close();
    this.#socket = null;
  }

  /** A step whose answer was lost is sent again under its number: the server counts it once. */
  async #push(x) {
    for (let i = 0; i < TRIES; i++) {
      try {
        const said = await this.#ask({ x, number: this.steps + 1, state: true, gates: this.gates });
        if (said.expected) this.steps = said.expected - 1;
        if (said.error) throw new Error(said.error);
        this.steps = said.number;
        return said;
      } catch (problem) {
        if (!(problem instanceof LostError)) throw problem;
        this.told("lost");
        await sleep(Math.min(4000, 200 * 2 ** i));
      }
    }
    throw new Error("The server does not answer. Push again when it is back: nothing was counted twice.");
  }

  async #ask(message) {
    const socket = await this.#open();
    return new Promise((resolve, reject) => {
      socket.onmessage = (event) => resolve(JSON.parse(event.data));
      socket.onclose = () => reject(new LostError());
      socket.send(JSON.stringify(message));
    });
  }

  async #open() {
    if (this.#socket?.readyState === WebSocket.OPEN) return this.#socket;
    const socket = new WebSocket(socketAddress(this.key, "stream"));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = () => reject(new LostError());
    });
    this.#socket = socket;
    this.told("live");
    return socket;
  }
}

/** A sequence that others push to; came(message): called after each of its steps. */
export class Watch {
  #socket = null;
  #over = false;

  constructor(key, came, told) {
    Object.assign(this, { key, came, told });
    this.#open();
  }

  async push() {
    throw new Error("This sequence is watched: others push to it. Fork it, and push to the fork.");
  }

  close() {
    this.#over = true;
    this.#socket?.close();
  }

  #open(wait = 200) {
    if (this.#over) return;
    this.#socket = new WebSocket(socketAddress(this.key, "watch"));
    this.#socket.onopen = () => {
      wait = 200;
      this.told("live");
    };
    this.#socket.onmessage = (event) => this.came(JSON.parse(event.data));
    this.#socket.onclose = () => {
      if (this.#over) return;
      this.told("lost");
      setTimeout(() => this.#open(Math.min(4000, 2 * wait)), wait);
    };
  }
}
