"""Tunes in ABC notation: which notes sound when, of one voice as it is written; repeats are not played out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

from elman.errors import DataError

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
"""semitones above C"""
FIFTHS = "FCGDAEB"
"""the order in which a key has its sharps; read backwards, its flats"""
MODES = {"": 0, "maj": 0, "ion": 0, "lyd": 1, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3, "phr": -4, "loc": -5}
"""sharps more than the major key of the same tonic has"""
ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
COMMON = {"C": "4/4", "C|": "2/2"}
COMPOUND = {(6, 8), (9, 8), (12, 8)}
"""metres in which a tuplet of 5, 7 or 9 lasts as long as 3 notes, not 2"""
TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""notes in a tuplet → in the time of how many; for the others it is by the metre"""
MIDDLE_C = 60

PITCH = r"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*"
LENGTH = r"\d*(?:/+\d*)?"
BAR = r"(?:[\]:]*\||\[\|)(?:[\]|:]|\[(?=[|\d]))*|:{2,}|\](?!\])|\[(?=\d)"
KINDS = {
    "field": r"\[[A-Za-z]:[^\]]*\]",
    "bar": rf"(?:{BAR})(?:\d(?:[,-]\d)*)?",
    "chord": rf"\[(?:{PITCH}{LENGTH}-?)+\]{LENGTH}",
    "note": PITCH + LENGTH,
    "rest": rf"[zx]{LENGTH}",
    "bars_of_rest": r"[ZX]\d*",
    "tuplet": r"\(\d(?::\d*)*",
    "broken": r">{1,3}|<{1,3}",
    "tie": "-",
    "ornament": r'"[^"]*"|\{[^}]*\}|![^!\n]*!|[().~`*\\yH-Wh-w]',
    "space": r"\s+",
}
"""what a body is made of: kind → pattern, the first that fits"""
TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))
ONE_NOTE = re.compile(
    rf"(?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>{LENGTH})(?P<tie>-?)"
)
FIELD = re.compile(r"[A-Za-z+]:")


@dataclass(frozen=True)
class Note:
    """What sounds from a time on, for a while, both in whole notes.

    pitch   MIDI's number, 60 is middle C
    start   from the beginning of the tune
    length  a quarter note's is 1/4
    """

    pitch: int
    start: Fraction
    length: Fraction


@dataclass(frozen=True)
class Tune:
    """A tune as it is written.

    header  letter of a field → its first value
    notes   in the order in which they begin
    bars    where a bar begins and, last, where the tune ends; in whole notes
    metre   a bar's length, in whole notes, the last one where it changes; None where it is free
    """

    header: dict[str, str]
    notes: tuple[Note, ...]
    bars: tuple[Fraction, ...]
    metre: Fraction | None

    def full_bars(self) -> int:
        """How many bars are as long as the metre says: upbeats, and what completes them, are not."""
        return sum(after - before == self.metre for before, after in pairwise(self.bars))


def is_tune(text: str) -> bool:
    """Whether a text is one tune: it begins with X:, and a line in it with K:, the last of a header.

    >>> is_tune("X:1\\nT:Scale\\nK:C\\nCDEF|\\n"), is_tune("Exit, pursued by a bear.")
    (True, False)
    """
    return bool(re.match(r"X:.*\n(?:.*\n)*?K:", text))


def split_tunes(text: str) -> list[str]:
    """The tunes of a file, each with the empty line that ends it: what stands before the first X: is left out."""
    blocks = (block.strip("\n") for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")))
    starts = (re.search(r"^X:", block, re.MULTILINE) for block in blocks)
    return [start.string[start.start() :] + "\n\n" for start in starts if start is not None]


def tokens(body: str) -> Iterator[tuple[str, str]]:
    """The kind, of `KINDS`, and the text of each thing in a body without comments; raises `DataError` for another."""
    at = 0
    while at < len(body):
        found = TOKEN.match(body, at)
        if found is None:
            raise DataError(f"ABC: expected notes, bars and rests, got {body[at : at + 12]!r}. Mend or leave it out.")
        yield str(found.lastgroup), found[0]
        at = found.end()


def read_tune(text: str) -> Tune:
    """The notes of one tune, in ABC notation as standard 2.1 has it.

    Read are keys with their modes and further accidentals, metres, unit lengths (also where they change in the tune),
    accidentals (to the end of the bar, in every octave), octaves, lengths, chords, rests, tuplets, broken rhythm, ties
    and bars. Grace notes, decorations, slurs, chord symbols, words, repeats and voices are passed over.

    Raises `DataError` for what is no tune, and for what cannot be read in it.
    Source: C. Walshaw and others 2011, The abc music standard 2.1.

    >>> tune = read_tune("X:1\\nT:Scale\\nM:2/4\\nL:1/8\\nK:D\\nD>F A2|\\n")
    >>> [(note.pitch, str(note.length)) for note in tune.notes], tune.full_bars()
    ([(62, '3/16'), (66, '1/16'), (69, '1/4')], 1)
    """
    if not is_tune(text):
        raise DataError(f"ABC: expected a tune, X: first and K: last of its header, got {text[:30]!r}. Add them.")
    reader, header = _Reader(), {}
    for line in text.replace("\r\n", "\n").split("\n"):
        line = line.split("%")[0].strip()
        if FIELD.match(line):
            reader.set(line[0], line[2:].strip())
            header.setdefault(line[0], line[2:].strip())
        elif "K" in header:
            reader.play(line)
    return reader.tune(header)


@dataclass
class _Reader:
    """What is known at a place in a tune.

    begun, now  when the last note or rest began and ended
    factor      of the next one's length, for the broken rhythm before it
    tuplet      factor of the lengths in a tuplet, and how many notes are left of it
    carried     letters altered in this bar, in semitones
    last, tied  which of the notes the last ones are, and of them those that go on where they recur
    """

    key: dict[str, int] = field(default_factory=dict)
    metre: tuple[int, int] | None = None
    unit: Fraction | None = None
    now: Fraction = Fraction(0)
    begun: Fraction = Fraction(0)
    factor: Fraction = Fraction(1)
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)
    carried: dict[str, int] = field(default_factory=dict)
    last: list[int] = field(default_factory=list)
    tied: list[int] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    bars: list[Fraction] = field(default_factory=lambda: [Fraction(0)])

    def set(self, letter: str, value: str) -> None:
        """A field of the header, or within the tune."""
        if letter == "K":
            self.key = read_key(value)
        elif letter == "L":
            self.unit = _fraction(value, "L:")
        elif letter == "M":
            self.metre = _metre(value)

    def play(self, line: str) -> None:
        """A line of music."""
        for kind, text in tokens(line):
            if kind == "field":
                self.set(text[1], text[3:-1].strip())
            elif kind in ("note", "chord"):
                self.sound(text)
            elif kind == "rest":
                self.wait(_length(text[1:]))
            elif kind == "bars_of_rest":
                self.end_bar()
                self.now += int(text[1:] or 1) * self.bar()
            elif kind == "bar":
                self.end_bar()
            elif kind == "tuplet":
                self.begin_tuplet(text)
            elif kind == "broken":
                self.break_rhythm(text)
            elif kind == "tie":
                self.tied = self.last

    def sound(self, text: str) -> None:
        """A note, or the notes of a chord, which last as long as its first."""
        inner, _, outer = text[1:].partition("]") if text.startswith("[") else (text, "", "")
        found = list(ONE_NOTE.finditer(inner))
        held = {self.notes[i].pitch: i for i in self.tied}
        length = self.wait(_length(found[0]["length"]) * _length(outer))
        for one in found:
            pitch = self.pitch(one)
            i = held.get(pitch, len(self.notes))
            if pitch in held:
                self.lengthen(i, length)
            else:
                self.notes.append(Note(pitch, self.begun, length))
            self.last.append(i)
            self.tied += [i] if one["tie"] else []

    def lengthen(self, i: int, by: Fraction) -> None:
        self.notes[i] = replace(self.notes[i], length=self.notes[i].length + by)

    def pitch(self, note: re.Match[str]) -> int:
        letter = note["letter"].upper()
        if note["accidental"]:
            self.carried[letter] = ACCIDENTALS[note["accidental"]]
        shift = self.carried.get(letter, self.key.get(letter, 0))
        octave = note["letter"].islower() + note["octave"].count("'") - note["octave"].count(",")
        return MIDDLE_C + STEPS[letter] + shift + 12 * octave

    def wait(self, units: Fraction) -> Fraction:
        """Lets the time of a note or rest pass, and returns it."""
        length = units * self.step() * self.factor
        share, left = self.tuplet
        if left:
            length, self.tuplet = length * share, (share, left - 1)
        self.begun, self.now = self.now, self.now + length
        self.factor, self.last, self.tied = Fraction(1), [], []
        return length

    def begin_tuplet(self, text: str) -> None:
        """(p:q:r: the next r notes are p in the time of q."""
        p, q, r = ([int(part or 0) for part in text[1:].split(":")] + [0, 0])[:3]
        usual = TUPLETS.get(p, 3 if self.metre in COMPOUND else 2)
        self.tuplet = Fraction(q or usual, max(p, 1)), r or p

    def break_rhythm(self, text: str) -> None:
        """a>b: what a gains, b loses; a<b: the other way round."""
        less = Fraction(1, 2 ** len(text))
        mine, self.factor = (2 - less, less) if text[0] == ">" else (less, 2 - less)
        gained = (self.now - self.begun) * (mine - 1)
        self.now += gained
        for i in self.last:
            self.lengthen(i, gained)

    def end_bar(self) -> None:
        self.carried = {}
        if self.now > self.bars[-1]:
            self.bars.append(self.now)

    def step(self) -> Fraction:
        """The unit of length: by the metre unless it is told."""
        if self.unit is not None:
            return self.unit
        return Fraction(1, 16) if self.metre and Fraction(*self.metre) < Fraction(3, 4) else Fraction(1, 8)

    def bar(self) -> Fraction:
        return Fraction(*self.metre) if self.metre else Fraction(1)

    def tune(self, header: dict[str, str]) -> Tune:
        self.end_bar()
        if not self.notes:
            raise DataError("ABC: expected notes after the header, got none. Add some after the line K:.")
        return Tune(header, tuple(self.notes), tuple(self.bars), Fraction(*self.metre) if self.metre else None)


def read_key(value: str) -> dict[str, int]:
    """The letters that a key alters, and by how many semitones.

    >>> read_key("A"), read_key("Gdor"), read_key("Dmix=c")
    ({'F': 1, 'C': 1, 'G': 1}, {'B': -1}, {'F': 1, 'C': 0})
    """
    found = re.match(r"(?:(?P<tonic>[A-G])(?P<sign>[#b]?)\s*(?P<mode>[A-Za-z]*)|HP|Hp|none|(?=$))(?P<more>.*)", value)
    mode = "" if found is None or found["mode"] is None else _mode(found["mode"])
    if found is None or mode not in MODES:
        raise DataError(f"ABC: expected a key such as G, Bb or Edor after K:, got {value!r}. Name a tonic and a mode.")
    key: dict[str, int] = {"F": 1, "C": 1} if value.startswith("Hp") else {}
    if found["tonic"]:
        sharps = FIFTHS.index(found["tonic"]) - 1 + {"#": 7, "b": -7, "": 0}[found["sign"]] + MODES[mode]
        for i in range(abs(sharps)):
            letter = (FIFTHS if sharps > 0 else FIFTHS[::-1])[i % 7]
            key[letter] = key.get(letter, 0) + (1 if sharps > 0 else -1)
    further = re.findall(r"(\^\^|\^|__|_|=)([a-gA-G])(?![a-z])", found["more"])
    return key | {letter.upper(): ACCIDENTALS[sign] for sign, letter in further}


def _mode(name: str) -> str:
    """The letters that tell a mode; a clef that follows the key is none."""
    mode = name.lower()
    if mode in ("clef", "treble", "bass", "alto", "tenor", "exp"):
        return ""
    return mode if mode == "m" else mode[:3]


def _metre(value: str) -> tuple[int, int] | None:
    found = re.match(r"([\d+()]+)/(\d+)", COMMON.get(value, value))
    if found is None:
        return None
    counts = sum(map(int, re.findall(r"\d+", found[1])))
    if not counts or not int(found[2]):
        raise DataError(f"ABC: expected a metre such as 6/8, got {value!r}. Mend the line M:.")
    return counts, int(found[2])


def _fraction(value: str, where: str) -> Fraction:
    try:
        found = Fraction(value)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if found <= 0:
        raise DataError(f"ABC: expected a length such as 1/8 after {where}, got {value!r}. Mend it.")
    return found


@cache
def _length(text: str) -> Fraction:
    """A length as it stands after a note: "", "2", "/", "//", "3/2".

    >>> [str(_length(text)) for text in ("", "2", "/", "//", "3/2", "/4")]
    ['1', '2', '1/2', '1/4', '3/2', '1/4']
    """
    count, _, below = text.partition("/")
    return _fraction(f"{count or 1}/{below.lstrip('/') or 2 ** text.count('/')}", "a note")
