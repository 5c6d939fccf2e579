// Which charts a model's answers need, and its answers in words.

import { LineChart, colour, faded, lineColour, said } from "./charts.js";
import { FanChart } from "./fan.js";
import { HeatMap } from "./heat.js";
import { Tape, visible } from "./tape.js";

const MANY = 8; // lines; more numbers than that are drawn as a map of colours
const SMALL = 4; // inputs with a chart each

export const KINDS = {
  SequenceClassifier: "Sequence classifier",
  SequenceRegressor: "Sequence regressor",
  SequenceTagger: "Sequence tagger",
  LanguageModel: "Language model",
  AnomalyDetector: "Anomaly detector",
  Forecaster: "Forecaster",
};

/** What the page says about the model, and what is to be typed. */
export function describe(model) {
  const state = Object.entries(model.state)
    .map(([name, shape]) => `${name}\u00a0${shape.join("×")}`)
    .join(", ");
  const many = model.inputs === 1 ? "one number" : `${model.inputs} numbers`;
  const step = { character: "a character", word: "a word", space: "a word", numbers: many }[model.reads] ?? "a name";
  const hints = {
    character: ["so it goes", "Text: each character is a step."],
    numbers:
      model.inputs === 1
        ? ["0.5 0.7 null", "One number, or several with spaces; null where one is missing."]
        : [exampleOf(model.inputs), `${model.inputs} numbers with commas; semicolons between steps.`],
  };
  const [example, hint] = hints[model.reads] ?? ["the dog sat", "Words: each is a step."];
  return { title: KINDS[model.model] ?? model.model, about: `Reads ${step} a step. State: ${state}.`, example, hint };
}

const exampleOf = (inputs) =>
  Array.from({ length: Math.min(inputs, 4) }, (_, i) => i + 1).join(", ") + (inputs > 4 ? ", …" : "");

/** [{title, note, views: [a function that makes one in a host]}]: the answer first, then what was read. */
export function panelsOf(model, row) {
  const detector = "threshold" in row.said;
  if ("median" in row.said) return [forecast(row)];
  const found = model.reads === "numbers" ? [] : [tape(model, row)];
  if ("p" in row.said && "next" in row.said) found.push(surprise(model));
  else if (detector) found.push(score());
  else found.push(answers(model, row));
  if (model.reads === "numbers") found.push(inputs(row, detector));
  return found.filter(Boolean);
}

function forecast(row) {
  const levels = Object.keys(row.said)
    .filter((name) => name.startsWith("lo-"))
    .map((name) => Number(name.slice(3)));
  levels.sort((a, b) => a - b);
  const note = `bands hold the value ${levels.join(" % and ")} % of the time, if the model is right`;
  return { title: "Value and forecast", note, views: [(host) => new FanChart(host, { levels })] };
}

function answers(model, row) {
  const names = namesOf(model, row);
  const of = "label" in row.said ? (row.said.p ? "Label probabilities" : "Labels: score below the best path") : null;
  const title = of ?? ("notes" in row.said ? "Probability of each note" : "Answer over time");
  const range = row.said.p ? [0, 1] : null;
  if (row.y.length > MANY)
    return { title, views: [map(title, (r) => r.y, { both: !range, range })], note: rowsOf(names) };
  const lines = row.y.map((_, i) => ({ name: names[i], at: (r) => r.y[i] }));
  return { title, views: [(host) => new LineChart(host, { lines, range: range && [-0.03, 1.03] })] };
}

function score() {
  const lines = [
    { name: "score", at: (r) => r.said.score },
    { name: "threshold", at: (r) => r.said.threshold, colour: "quiet", level: true },
    { name: "alarm", at: (r) => (r.said.alarm ? r.said.score : null), colour: "alarm", dots: true },
  ];
  return { title: "Anomaly score", note: "higher: less expected", views: [(host) => new LineChart(host, { lines })] };
}

function surprise(model) {
  const at = (r, before) => (before ? bits(model, before, r) : null);
  const lines = [{ name: "bits", at }];
  const note = "−log₂ of the probability that the model gave to what came; 0: it was certain";
  return { title: "Surprise", note, views: [(host) => new LineChart(host, { lines })] };
}

/** Bits of what came, by the answer before it; null where the model has no name for it. */
function bits(model, before, row) {
  const p = before.y[model.names?.indexOf(row.x) ?? -1];
  return p === undefined ? null : -Math.log2(Math.max(p, 1e-7));
}

function tape(model, row) {
  const letters = model.reads === "character";
  const under = "label" in row.said ? (r) => r.said.label : null;
  const shade = under
    ? () => null
    : (r, before) => {
        const surprised = before && bits(model, before, r);
        return surprised === null || surprised === undefined
          ? null
          : faded(colour("warm"), Math.min(0.65, Math.max(0, surprised - 0.5) / 12));
      };
  const note = under
    ? "each with its label, as it was said when it came"
    : "the stronger the colour, the less expected";
  return { title: "What was read", note, views: [(host) => new Tape(host, { letters, under, shade })] };
}

function inputs(row, detector) {
  const count = listed(row.x).length;
  const title = detector ? "What was measured, and what was expected" : "What was read";
  if (count > SMALL) {
    const binary = listed(row.x).every((v) => v === 0 || v === 1);
    const options = binary ? { both: false, range: [0, 1] } : { both: false, own: true };
    return { title, note: rowsOf(null), views: [map(title, (r) => listed(r.x), options)] };
  }
  const views = Array.from({ length: count }, (_, i) => (host) => {
    const lines = [{ name: count > 1 ? `input ${i + 1}` : "value", at: (r) => listed(r.x)[i], colour: "ink" }];
    if (detector) lines.push({ name: "expected", at: (r) => listed(r.said.expected)[i], colour: "line-0", thin: true });
    return new LineChart(host, { lines, height: count > 1 ? 130 : 170 });
  });
  return { title, views };
}

/** A map of colours that draws the sequence which is chosen. */
const map = (what, of, options) => (host) => {
  const heat = new HeatMap(host, { what, ...options });
  return { update: (tracks, chosen) => heat.update(tracks, chosen, of), forget: () => {} };
};

const rowsOf = (names) =>
  names?.length
    ? `rows from above: ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}`
    : "a row for each; of the sequence that is chosen";

function namesOf(model, row) {
  if (model.names?.length === row.y.length) return model.names.map(String);
  if ("notes" in row.said) return row.y.length > MANY ? null : row.y.map((_, i) => `note ${i}`);
  return row.y.map((_, i) => (row.y.length > 1 ? `value ${i + 1}` : "value"));
}

export const listed = (x) => (Array.isArray(x) ? x : [x]);

/** An answer in words: {what, more, alarm, bars: [[name, p, colour]]}. */
export function inWords(model, row) {
  const { said: a } = row;
  if ("median" in a) return { what: `next: ${said(a.median[0])}`, more: ahead(a) };
  if ("score" in a)
    return {
      what: a.alarm ? "Alarm" : "No alarm",
      alarm: a.alarm,
      more: `score ${said(a.score)}, threshold ${said(a.threshold)}`,
    };
  const first = "next" in a ? `next: ${visible(a.next)}` : "label" in a ? String(a.label) : null;
  if (first !== null)
    return {
      what: first,
      bars: Object.entries(a.p ?? {})
        .slice(0, 6)
        .map((pair) => bar(model, pair)),
    };
  if ("notes" in a)
    return { what: a.notes.length ? `notes ${a.notes.join(", ")}` : "no note", more: "p ≥ 0.5 at the next step" };
  return {
    what: listed(a.value ?? a.y)
      .slice(0, 6)
      .map(said)
      .join(", "),
  };
}

function bar(model, [name, p]) {
  const i = model.names?.map(String).indexOf(name) ?? -1;
  return [visible(name), p, model.names?.length <= MANY && i >= 0 ? lineColour(i) : colour("line-0")];
}

function ahead(a) {
  const [level] = Object.keys(a)
    .filter((name) => name.startsWith("lo-"))
    .map((name) => name.slice(3))
    .sort();
  const bounds = level ? `, ${level} %: ${said(a[`lo-${level}`][0])} to ${said(a[`hi-${level}`][0])}` : "";
  return `${a.median.length} steps ahead${bounds}`;
}
