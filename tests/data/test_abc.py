"""Tunes in ABC notation against what standard 2.1 says of each sign, worked out by hand; and all that ship."""

from __future__ import annotations

from fractions import Fraction

import pytest

from elman.cli.demos import SHIPPED
from elman.data.abc import is_tune, read_key, read_tune, split_tunes
from elman.data.corpus import read_corpus
from elman.errors import DataError


def played(body, *, metre="4/4", unit="1/8", key="C"):
    """(pitch, start, length) of each note, in units of an eighth."""
    tune = read_tune(f"X:1\nT:\nM:{metre}\nL:{unit}\nK:{key}\n{body}\n")
    return [(note.pitch, note.start * 8, note.length * 8) for note in tune.notes]


def lengths(body, **header):
    return [length for _, _, length in played(body, **header)]


def pitches(body, **header):
    return [pitch for pitch, _, _ in played(body, **header)]


def test_octaves_and_lengths():
    assert played("C,, C c c'' B/ B// B3/2 B/4 z2 B") == [
        (36, 0, 1),
        (60, 1, 1),
        (72, 2, 1),
        (96, 3, 1),
        (71, 4, Fraction(1, 2)),
        (71, Fraction(9, 2), Fraction(1, 4)),
        (71, Fraction(19, 4), Fraction(3, 2)),
        (71, Fraction(25, 4), Fraction(1, 4)),
        (71, Fraction(17, 2), 1),
    ]


def test_accidentals_hold_in_every_octave_to_the_end_of_the_bar():
    assert pitches("F f =F f | F ^^f __B B", key="G") == [66, 78, 65, 77, 66, 79, 69, 69]


@pytest.mark.parametrize(
    ("key", "altered"),
    [
        ("C", {}),
        ("Am", {}),
        ("A", {"F": 1, "C": 1, "G": 1}),
        ("Eb", {"B": -1, "E": -1, "A": -1}),
        ("F#m", {"F": 1, "C": 1, "G": 1}),
        ("D dorian", {}),
        ("AMix", {"F": 1, "C": 1}),
        ("Glydian", {"F": 1, "C": 1}),
        ("Bphr", {"F": 1}),
        ("Dmix=c", {"F": 1, "C": 0}),
        ("D ^g", {"F": 1, "C": 1, "G": 1}),
        ("C#", dict.fromkeys("FCGDAEB", 1)),
        ("Hp", {"F": 1, "C": 1}),
        ("none", {}),
        ("G clef=treble", {"F": 1}),
    ],
)
def test_keys(key, altered):
    assert read_key(key) == altered


def test_broken_rhythm_tuplets_and_both():
    assert lengths("A>B A<B A>>B") == [Fraction(n, 4) for n in (6, 2, 2, 6, 7, 1)]
    assert lengths("(3ABc d") == [Fraction(2, 3)] * 3 + [1]
    assert lengths("(2ABc") == [Fraction(3, 2)] * 2 + [1]
    assert lengths("(5ABcde") == [Fraction(2, 5)] * 5
    assert lengths("(5ABcde", metre="6/8") == [Fraction(3, 5)] * 5
    assert lengths("(3:2:4ABcd e") == [Fraction(2, 3)] * 4 + [1]
    assert lengths("(3A>Bc") == [1, Fraction(1, 3), Fraction(2, 3)]


def test_broken_rhythm_with_a_rest_moves_the_next_note_alone():
    assert played("A z>B c") == [(69, 0, 1), (71, Fraction(5, 2), Fraction(1, 2)), (72, 3, 1)]


def test_ties_join_what_has_one_pitch_and_chords_begin_together():
    assert played("A2-|A B-c") == [(69, 0, 3), (71, 3, 1), (72, 4, 1)]
    assert played("[CE-G2]2 [EA]") == [(60, 0, 2), (64, 0, 3), (67, 0, 2), (69, 2, 1)]
    assert played("A-A>B") == [(69, 0, Fraction(5, 2)), (71, Fraction(5, 2), Fraction(1, 2))]


def test_what_does_not_sound_is_passed_over():
    plain = played("ABc d2")
    assert played('"Am"uA{gf}B.c !trill!(~d2) % words\nw: la la') == plain
    assert played("|:A\\\nBc||[K:C][1 d2:|") == plain


def test_fields_within_a_tune_count_from_there_on():
    assert played("F [L:1/4] F\nK:G\nF\nM:6/8\nF") == [(65, 0, 1), (65, 1, 2), (66, 3, 2), (66, 5, 2)]


def test_bars_and_whole_bars_of_rest():
    tune = read_tune("X:1\nM:3/4\nK:C\nC2 | CDE CDE | Z2 | C6 |: C2 :|\n")
    assert tune.bars == tuple(Fraction(n, 8) for n in (0, 2, 8, 20, 26, 28))
    assert (tune.metre, tune.full_bars()) == (Fraction(3, 4), 2)


@pytest.mark.parametrize(("metre", "unit"), [("2/4", 16), ("3/4", 8), ("C|", 8), ("none", 8), ("6/8", 8)])
def test_the_unit_is_by_the_metre_unless_told(metre, unit):
    assert read_tune(f"X:1\nM:{metre}\nK:C\nC\n").notes[0].length == Fraction(1, unit)


def test_tunes_are_told_from_text_and_from_each_other():
    assert split_tunes("%abc-2.1\n\nX:1\nK:C\nC|\n \n\nwords between\n\nX:2\nK:D\r\nD|") == [
        "X:1\nK:C\nC|\n\n",
        "X:2\nK:D\nD|\n\n",
    ]
    assert not is_tune("T:No number\nK:C\nC|") and not is_tune("X:1\nT:No key\nC|")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CDE|", "expected a tune, X: first and K: last of its header, got 'CDE|'"),
        ("X:1\nK:C\n", "expected notes after the header, got none"),
        ("X:1\nK:C\nCD & E|", "expected notes, bars and rests, got '& E|'"),
        ("X:1\nK:H\nC|", "expected a key such as G, Bb or Edor after K:, got 'H'"),
        ("X:1\nL:eighth\nK:C\nC|", "expected a length such as 1/8 after L:, got 'eighth'"),
        ("X:1\nM:0/4\nK:C\nC|", "expected a metre such as 6/8, got '0/4'"),
        ("X:1\nK:C\nC/0|", "expected a length such as 1/8 after a note, got '1/0'"),
    ],
)
def test_one_line_for_what_cannot_be_read(text, message):
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        read_tune(text)


def test_every_tune_that_ships_can_be_read_and_most_of_its_bars_are_full():
    texts = read_corpus(SHIPPED / "dances.abc.gz").learn
    tunes = [read_tune(text) for text in texts]
    assert len(tunes) > 900 and [int(tune.header["X"]) for tune in tunes] == list(range(1, len(tunes) + 1))
    assert all(tune.full_bars() >= 0.6 * (len(tune.bars) - 1) for tune in tunes)
    pitches = [note.pitch for tune in tunes for note in tune.notes]
    assert min(pitches) >= 55 and max(pitches) <= 91  # from a fiddle's lowest string up
