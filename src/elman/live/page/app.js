// The page: what is pressed and typed, the sequences that are watched, and what is drawn of them.

import { DASHES } from "./charts.js";
import { HeatMap } from "./heat.js";
import { source } from "./source.js";
import { Player, filed, typed } from "./steps.js";
import { MOST, Track } from "./tracks.js";
import { describe, inWords, panelsOf } from "./views.js";

const RATES = [1, 2, 5, 10, 20, 50, 100]; // steps a second
const SPOKEN = 1500; // milliseconds between two answers that are read aloud
const $ = (id) => document.getElementById(id);
const make = (tag, options = {}, ...children) => {
  const found = Object.assign(document.createElement(tag), options);
  found.append(...children);
  return found;
};

let model,
  tracks,
  chosen,
  views = [],
  heat = null,
  forks = 0,
  due = false,
  spoken = 0,
  turn = Promise.resolve();

const player = new Player({ push: (x) => push(x), changed: showPlayer, failed: fail });

async function start() {
  model = await source.model();
  const { title, about, example, hint } = describe(model);
  document.title = `${title} – elman live`;
  $("title").textContent = title;
  $("about").textContent = about;
  $("hint").textContent = hint;
  $("step").placeholder = example;
  if (model.runs?.length > 1) {
    $("runs").replaceChildren(...model.runs.map((name) => new Option(name, name, false, name === model.run)));
    $("pick").hidden = false;
  }
  $("watched").hidden = !source.watch;
  begin();
}

// -- sequences -------------------------------------------------------------------------------------------------------

function begin(track = new Track("main", tell)) {
  forks = 0;
  tracks = [(chosen = track)];
  views = [];
  heat = null;
  $("panels").replaceChildren();
  $("heat").replaceChildren();
  $("state").hidden = true;
  tell("idle");
  showTracks();
  draw();
}

async function push(x) {
  const track = chosen;
  track.stream.gates = $("part").value.startsWith("gates ");
  await track.push(x);
  came(track);
}

/** A step of a sequence has come. */
function came(track) {
  if (!tracks.includes(track)) return; // it was ended meanwhile
  if (!views.length) build(track.row(track.last));
  showTracks();
  draw();
}

/** Does what was asked for; what goes wrong is told in a line, and nothing else changes. */
async function attempt(action) {
  $("problem").hidden = true;
  try {
    await action();
  } catch (problem) {
    fail(problem);
  }
}

/** Changes of the sequences, one after the other; what is typed after one waits: it is for what is chosen then. */
function inTurn(action) {
  const done = turn.then(action);
  turn = done.catch(() => {});
  return done;
}

function fail(problem, row) {
  const where = row ? `Row ${row} was left out: ` : "";
  $("problem").textContent = where + problem.message;
  $("problem").hidden = false;
}

function tell(state) {
  $("link").dataset.state = state;
  $("link").textContent = { idle: "ready", live: "connected", lost: "connecting again…", here: "in this page" }[state];
}

function showTracks() {
  const focused = document.activeElement?.dataset?.key;
  $("tracks").replaceChildren(...tracks.map(trackRow));
  if (focused) $("tracks").querySelector(`[data-key="${focused}"]`)?.focus();
  $("fork").disabled = !chosen.last || tracks.length >= MOST;
  $("reset").disabled = !tracks.some((track) => track.last);
}

function trackRow(track, i) {
  const input = make("input", { type: "radio", name: "track", checked: track === chosen });
  input.dataset.key = `${track.key} chosen`;
  input.addEventListener("change", () => choose(track));
  const label = make(
    "label",
    {},
    input,
    dash(i),
    make("span", { textContent: track.name }),
    make("small", { textContent: `${track.last} ${track.last === 1 ? "step" : "steps"}` }),
  );
  const row = make("div", { className: "track" }, label);
  if (i)
    row.append(
      make("button", {
        type: "button",
        textContent: "Drop",
        ariaLabel: `Drop ${track.name}`,
        onclick: () => drop(track),
      }),
    );
  return row;
}

/** The line that a sequence is drawn with. */
function dash(i) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  svg.setAttribute("class", "dash");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of Object.entries({
    x1: 0,
    x2: 29,
    y1: 2,
    y2: 2,
    stroke: "currentColor",
    "stroke-width": 2.5,
    "stroke-dasharray": DASHES[i].join(" ") || "none",
  }))
    line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function choose(track) {
  chosen = track;
  showTracks();
  draw();
}

async function drop(track) {
  tracks = tracks.filter((one) => one !== track);
  choose(tracks.includes(chosen) ? chosen : tracks[0]);
  await track.end();
}

// -- drawing ---------------------------------------------------------------------------------------------------------

/** The charts that this model's answers need, once the first is there. */
function build(row) {
  for (const { title, note, views: makers } of panelsOf(model, row)) {
    const hosts = makers.map(() => make("div", { className: "plot" }));
    const head = make("div", { className: "row head" }, make("h2", { textContent: title }));
    if (note) head.append(make("p", { className: "quiet", textContent: note }));
    $("panels").append(make("section", { className: "card", ariaLabel: title }, head, ...hosts));
    views.push(...makers.map((maker, i) => maker(hosts[i])));
  }
  const layers = Object.values(row.state)[0].length;
  const gates = source.watch ? (model.gates ?? []) : []; // a page by itself has no one to ask
  $("part").replaceChildren(
    ...Object.entries(row.state).flatMap(([name, part]) => optionsOf(name, `state ${name}`, Array.isArray(part[0]) ? part.length : 1)),
    ...gates.flatMap((name) => optionsOf(`gate ${name}`, `gates ${name}`, layers)),
  );
  $("state").hidden = false;
  heat = new HeatMap($("heat"), { what: "Hidden state" });
}

/** A part of the state or a gate, or each layer of it. */
function optionsOf(title, value, layers) {
  if (layers === 1) return [new Option(title, value)];
  return Array.from({ length: layers }, (_, i) => new Option(`${title}, layer ${i + 1}`, `${value} ${i}`));
}

/** Numbers of what is chosen; null where a step was not asked for its gates. */
function partOf(row) {
  const [kind, name, layer] = $("part").value.split(" ");
  const part = row[kind]?.[name];
  return part ? (layer ? part[Number(layer)] : part).flat(Infinity) : null;
}

/** Draws at the next frame, however many steps come before it. */
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const begun = tracks.filter((track) => track.row(track.last));
    showAnswers(begun);
    if (!begun.length || !views.length) return;
    for (const view of views) view.update(begun, chosen);
    heat.update(begun, chosen, partOf);
  });
}

function showAnswers(begun) {
  if (!begun.length) {
    $("answers").replaceChildren(
      make("p", { className: "empty", textContent: "Nothing yet. Push a step, or play a file." }),
    );
    return;
  }
  $("answers").replaceChildren(...begun.map((track) => answerOf(track, begun.length > 1)));
  speak();
}

function answerOf(track, several) {
  const { what, more, alarm, bars } = inWords(model, track.row(track.last));
  const text = make(
    "p",
    { className: alarm ? "what alarm" : "what", textContent: what },
    make("small", { textContent: [`after step ${track.last}`, more].filter(Boolean).join(": ") }),
  );
  const found = make("div", { className: several && track === chosen ? "said chosen" : "said" }, text);
  if (several)
    found.prepend(
      make("p", { className: "who", textContent: track === chosen ? `${track.name} (chosen)` : track.name }),
    );
  if (bars?.length)
    found.append(
      make(
        "div",
        { className: "bars" },
        ...bars.flatMap(([name, p, colour]) => {
          const bar = make("i");
          bar.style.setProperty("--p", `${100 * p}%`);
          bar.style.setProperty("--c", colour);
          return [
            make("b", { textContent: name, title: name }),
            bar,
            make("span", { textContent: `${(100 * p).toFixed(1)} %` }),
          ];
        }),
      ),
    );
  return found;
}

/** The answer for those who listen, not more often than it can be read. */
function speak() {
  clearTimeout(spoken);
  const wait = $("said").textContent && player.playing ? SPOKEN : 150;
  spoken = setTimeout(() => {
    const row = chosen.row(chosen.last);
    if (!row) return;
    const { what, more, bars } = inWords(model, row);
    const sure = bars?.length ? `${(100 * bars[0][1]).toFixed(1)} %` : more;
    $("said").textContent = [`Step ${chosen.last} of ${chosen.name}: ${what}`, sure].filter(Boolean).join(", ");
  }, wait);
}

// -- what is pressed -------------------------------------------------------------------------------------------------

function showPlayer() {
  const { steps, at, playing } = player;
  $("play").disabled = !steps.length;
  $("rewind").disabled = !at;
  $("play").textContent = playing ? "Pause" : "Play";
  $("progress").max = steps.length || 1;
  $("progress").value = at;
  if (steps.length) $("filed").textContent = `${at} of ${steps.length} steps pushed.`;
}

function showRate() {
  player.rate = RATES[$("speed").value];
  $("rate").textContent = `${player.rate} ${player.rate === 1 ? "step" : "steps"}/s`;
}

$("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await ready;
    await turn;
    const steps = typed($("step").value, model);
    if (!steps.length) throw new Error(`Nothing to push. ${$("hint").textContent}`);
    for (const x of steps) await push(x);
    $("step").value = "";
  });
});

$("file").addEventListener("change", () =>
  attempt(async () => {
    const [file] = $("file").files;
    if (!file) return;
    player.load([]);
    await ready;
    const steps = filed(await file.text(), model);
    if (!steps.length) throw new Error(`${file.name} has no steps. Choose another file.`);
    player.load(steps);
    $("play").focus();
  }),
);

$("play").addEventListener("click", () => attempt(async () => (player.playing ? player.pause() : player.play())));
$("rewind").addEventListener("click", () => player.rewind());
$("speed").addEventListener("input", showRate);
$("part").addEventListener("change", () => {
  const gates = $("part").value.startsWith("gates ");
  $("stated").textContent = gates ? "Gates" : "Hidden state";
  heat.as($("stated").textContent, gates);
  draw();
});

/** first: of the sequences that were there when it was asked for */
async function fork(first) {
  if (tracks[0] !== first || tracks.length >= MOST) return;
  const copy = await chosen.fork(`what-if ${++forks}`);
  if (tracks[0] !== first) return copy.end(); // all was begun anew
  tracks.push(copy);
  choose(copy);
}

$("fork").addEventListener("click", () => {
  const [first] = tracks;
  attempt(() => inTurn(() => fork(first)));
});

/** Begins with a new sequence, and ends what there was, once nothing is forked from it any more. */
function restart(track) {
  player.pause();
  const old = tracks;
  if (player.steps.length) player.rewind();
  begin(track);
  inTurn(() => Promise.all(old.map((one) => one.end())));
}

$("reset").addEventListener("click", () => attempt(() => restart()));

$("watched").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const key = $("key").value;
    await inTurn(async () => restart(Track.watching(key, await source.stepsOf(key), tell, came)));
  });
});

$("key").addEventListener("focus", () =>
  attempt(async () => {
    const keys = await source.keys();
    $("keys").replaceChildren(...keys.filter((key) => !key.startsWith("page ")).map((key) => new Option(key)));
  }),
);

$("runs").addEventListener("change", ({ target }) => location.assign(`../${encodeURIComponent(target.value)}/`));

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const view of views) view.forget();
  draw();
});

addEventListener("pageshow", (event) => event.persisted && location.reload()); // its sequences are gone
addEventListener("pagehide", () => tracks?.forEach((track) => track.end()));
showRate();
const ready = start();
attempt(() => ready);
