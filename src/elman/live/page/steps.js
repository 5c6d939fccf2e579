// What was typed or uploaded, as steps; and a player that pushes them one by one.

const MISSING = new Set(["", "null", "nan", "na", "?", "none"]);

/** reads: "numbers", or how text is cut into names; inputs: numbers of a step */
export function typed(text, { reads, inputs }) {
  if (reads === "character") return [...text];
  if (reads !== "numbers") return text.trim().startsWith("[") ? json(text) : text.split(/\s+/).filter(Boolean);
  if (text.trim().startsWith("[")) return stepsOf(json(text), inputs);
  const steps = text.split(/[;\n]/).filter((part) => part.trim());
  if (inputs === 1) return steps.flatMap(cells).map((cell) => number(cell));
  return steps.map((part) => cells(part).map((cell) => number(cell)));
}

/** The steps of a file: JSON, JSON lines, a table with a step in each row, or text. */
export function filed(text, model) {
  const body = text.replace(/^\uFEFF/, "");
  if (/^\s*[[{"]/.test(body)) return fromJson(body, model);
  if (model.reads !== "numbers") return typed(body, model);
  const rows = body
    .split(/\r?\n/)
    .filter((row) => row.trim())
    .map(cells);
  if (rows.length > 1 && rows[0].some((cell) => number(cell, true) === undefined)) rows.shift(); // a header
  if (model.inputs === 1 && rows.length === 1) return rows[0].map((cell) => number(cell));
  return rows
    .map((row, i) => row.map((cell) => number(cell, false, `row ${i + 1}: `)))
    .map((row) => (row.length === 1 ? row[0] : row));
}

function fromJson(body, model) {
  try {
    return stepsOf(JSON.parse(body), model.inputs);
  } catch {
    return body
      .split(/\r?\n/)
      .filter((row) => row.trim())
      .map((row, i) => xOf(json(row, `row ${i + 1}: `)));
  }
}

/** A list is of steps, but one of as many numbers as a step has is a step. */
function stepsOf(value, inputs) {
  if (!Array.isArray(value)) return [xOf(value)];
  const one = inputs > 1 && value.length === inputs && !value.some((each) => typeof each === "object" && each);
  return one ? [value] : value.map(xOf);
}

const xOf = (value) => (value && typeof value === "object" && "x" in value ? value.x : value);

function cells(row) {
  const by = row.includes("\t") ? /\t/ : row.includes(";") ? /;/ : row.includes(",") ? /,/ : /\s+/;
  return row
    .trim()
    .split(by)
    .map((cell) => cell.trim());
}

function number(cell, quietly = false, where = "") {
  if (MISSING.has(cell.toLowerCase())) return null;
  const value = Number(cell);
  if (Number.isFinite(value)) return value;
  if (quietly) return undefined;
  throw new Error(
    `${where}a step must be numbers, got “${cell.slice(0, 40)}”. Mend it, or write null where one is missing.`,
  );
}

function json(text, where = "") {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${where}not JSON: “${text.trim().slice(0, 40)}”. Mend it.`);
  }
}

/** Pushes steps at a rate; a step that is refused stops it, and it goes on after that one. */
export class Player {
  steps = [];
  at = 0;
  playing = false;
  #turn = 0;

  /** push(x): a promise; changed(): called whenever the player is another; failed(problem, at) */
  constructor({ push, changed, failed }) {
    Object.assign(this, { push, changed, failed, rate: 10 });
  }

  load(steps) {
    this.pause();
    this.steps = steps;
    this.at = 0;
    this.changed();
  }

  rewind() {
    this.load(this.steps);
  }

  pause() {
    this.playing = false;
    this.changed();
  }

  async play() {
    if (this.playing) return;
    if (this.at >= this.steps.length) this.at = 0;
    this.playing = true;
    const turn = ++this.#turn; // of two that were started, the first sees that it is over
    let due = performance.now();
    while (this.playing && turn === this.#turn && this.at < this.steps.length) {
      this.changed();
      try {
        await this.push(this.steps[this.at++]);
      } catch (problem) {
        this.failed(problem, this.at);
        break;
      }
      due = Math.max(due + 1000 / this.rate, performance.now() - 100);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    }
    if (turn === this.#turn) this.pause();
  }
}
