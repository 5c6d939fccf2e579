// The model in this page, as WebAssembly: what a server and its streams do, with no server.

const ROOM = 64; // bytes that every block of memory begins at a multiple of
const GREATEST = 1e18;

/** The module that a page brings along, or null for a page that a server gave. */
export async function local() {
  const model = document.getElementById("model");
  if (!model) return null;
  const bytes = Uint8Array.from(atob(document.getElementById("wasm").textContent), (c) => c.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes);
  return new Local(JSON.parse(model.textContent), instance.exports);
}

class Local {
  #sequences = new Map();
  #free = [];

  constructor(model, code) {
    const { name, vocabulary } = model.here;
    Object.assign(this, { about: model, here: model.here, code, init: code[`${name}_init`], step: code[`${name}_step`] });
    this.codes = vocabulary && new Map(vocabulary.map((word, i) => [word, i + 1]));
    this.size = Object.values(model.state).reduce((sum, shape) => sum + count(shape), 0);
    this.end = Math.ceil(code.__heap_base.value / ROOM) * ROOM;
    this.x = this.#block(model.inputs);
    this.y = this.#block(model.outputs);
  }

  async model() {
    return this.about;
  }

  /** A sequence of its own: {push(x), close()}. */
  open(key, steps, told) {
    const push = async (x) => {
      const found = this.#push(key, x);
      told("here");
      return found;
    };
    return { steps, push, close: () => {} };
  }

  async fork(key, to) {
    const { at, steps } = this.#sequence(key);
    const copy = this.#sequence(to);
    copy.steps = steps;
    this.#floats(copy.at, this.size).set(this.#floats(at, this.size));
    return { steps };
  }

  async forget(key) {
    if (this.#sequences.has(key)) this.#free.push(this.#sequences.get(key).at);
    this.#sequences.delete(key);
  }

  #push(key, x) {
    const numbers = this.codes ? [this.#code(x)] : this.#numbers(x);
    const sequence = this.#sequence(key);
    this.#floats(this.x, numbers.length).set(numbers);
    this.step(sequence.at, this.x, this.y);
    const y = [...this.#floats(this.y, this.about.outputs)];
    const answer = inWords(y, this.here, this.about.names);
    return { number: ++sequence.steps, y, answer, state: this.#parts(sequence.at) };
  }

  #code(name) {
    if (typeof name !== "string") throw new Error(`A step must be a name, got ${JSON.stringify(name)}. Give text.`);
    return this.codes.get(this.here.lowercase ? name.toLowerCase() : name) ?? 0;
  }

  #numbers(x) {
    const found = (Array.isArray(x) ? x : [x]).map((value) => value ?? NaN);
    const { inputs } = this.about;
    if (found.length !== inputs)
      throw new Error(`A step must have ${inputs} ${inputs === 1 ? "number" : "numbers"}, got ${found.length}.`);
    const wrong = found.find((v) => !(Math.abs(v) <= GREATEST) && !(this.here.missing && Number.isNaN(v)));
    if (wrong !== undefined)
      throw new Error(`A step must be numbers of at most ${GREATEST}, got ${wrong}. Mend the value.`);
    return found;
  }

  /** The state of a sequence by parts, as a server tells it. */
  #parts(state) {
    const numbers = [...this.#floats(state, this.size)];
    return Object.fromEntries(
      Object.entries(this.about.state).map(([name, shape]) => [name, shaped(numbers.splice(0, count(shape)), shape)]),
    );
  }

  /** {at: where its state lies, steps}; one that is new begins. */
  #sequence(key) {
    if (!this.#sequences.has(key)) {
      const at = this.#free.pop() ?? this.#block(this.size);
      this.init(at);
      this.#sequences.set(key, { at, steps: 0 });
    }
    return this.#sequences.get(key);
  }

  /** Memory for so many numbers. */
  #block(numbers) {
    const at = this.end;
    this.end += Math.ceil((4 * numbers) / ROOM) * ROOM;
    const missing = this.end - this.code.memory.buffer.byteLength;
    if (missing > 0) this.code.memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  #floats(at, length) {
    return new Float32Array(this.code.memory.buffer, at, length); // anew each time: memory that grows moves
  }
}

/** y as `Says.answer` tells it in Python. */
function inWords(y, { says, named, most }, names) {
  const likely = () => y.map((_, i) => i).sort((a, b) => y[b] - y[a] || a - b);
  switch (says) {
    case "Probabilities": {
      const order = likely().slice(0, most);
      return { [named]: names[order[0]], p: Object.fromEntries(order.map((i) => [String(names[i]), y[i]])) };
    }
    case "Chain":
      return { label: names[likely()[0]] };
    case "Units":
      return { value: y.length === 1 ? y[0] : y };
    case "Chances":
      return { notes: y.flatMap((p, i) => (p >= 0.5 ? [i] : [])), p: y };
    default:
      return { y };
  }
}

const count = (shape) => shape.reduce((a, b) => a * b, 1);

/** Numbers in rows and rows of rows. */
function shaped(numbers, [first, ...rest]) {
  if (!rest.length) return numbers;
  const size = count(rest);
  return Array.from({ length: first }, (_, i) => shaped(numbers.slice(i * size, (i + 1) * size), rest));
}
