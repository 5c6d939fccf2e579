// Names as they came, one after another: each with its label under it, or shaded by how little it was expected.

const SHOWN = { letters: 240, words: 40 };

export class Tape {
  constructor(host, { letters, under, shade }) {
    Object.assign(this, { host, letters, under, shade });
  }

  /** A line for each sequence; of a what-if, what came after the fork is framed. */
  update(tracks) {
    this.host.replaceChildren(...tracks.map((track, t) => this.#line(track, t)));
  }

  forget() {}

  #line(track, t) {
    const line = document.createElement("div");
    line.className = this.letters ? "tape letters" : "tape";
    line.setAttribute("aria-label", track.name);
    const most = this.letters ? SHOWN.letters : SHOWN.words;
    for (let n = Math.max(1, track.last - most + 1); n <= track.last; n++) {
      const row = track.row(n);
      if (row) line.append(this.#name(row, track.row(n - 1), t > 0 && n > track.from));
    }
    return line;
  }

  #name(row, before, forked) {
    const found = document.createElement("span");
    found.textContent = visible(row.x);
    found.classList.toggle("after", forked);
    found.style.backgroundColor = this.shade(row, before) ?? "";
    if (this.under) found.append(Object.assign(document.createElement("small"), { textContent: this.under(row) }));
    return found;
  }
}

/** A name with what cannot be seen made visible. */
export const visible = (name) =>
  String(name)
    .replace(/\n/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/^ +$/, (s) => "␣".repeat(s.length));
