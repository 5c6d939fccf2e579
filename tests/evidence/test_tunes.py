"""What a language model of ABC composes: read as strictly as any tune, told in numbers, drawn bar by bar."""

from __future__ import annotations

from html import unescape

import pytest

from elman.cli.demos import SHIPPED
from elman.data.abc import read_tune
from elman.data.corpus import Corpus, read_corpus
from elman.estimators import LanguageModel
from elman.evidence import tunes
from elman.evidence.language_plots import ROW, plot_tune
from elman.evidence.language_study import language_study
from elman.evidence.tunes import fullness, readable, tune_sections, write_tune

TUNE = "X:1\nT:Reel\nM:2/4\nL:1/16\nK:D\nABde f2ed | B2AF E2D2 :|\n\n"


@pytest.fixture(scope="module")
def parrot():
    """A net that knows one tune by heart."""
    options = {
        "hidden_size": 48,
        "embedding_size": 16,
        "max_steps": 250,
        "batch_size": 4,
        "dropout": 0.0,
        "average": None,
    }
    return LanguageModel(**options, recurrent_dropout=0.0, learning_rate=0.01, random_state=0).fit([TUNE] * 24)


def bars_of(figure):
    """What sounds: row, left edge, right edge, middle."""
    return [
        (row, round(box.x0, 3), round(box.x1, 3), round((box.y0 + box.y1) / 2))
        for row, axes in enumerate(figure.axes)
        for collection in axes.collections
        for path in collection.get_paths()
        if (box := path.get_extents()).height < 1 and box.width
    ]


def test_a_tune_is_drawn_note_by_note_in_rows():
    tune = read_tune("X:1\nM:2/4\nL:1/4\nK:C\n" + "C2|" * (ROW - 1) + "EG|" + "c2|")
    figure = plot_tune("Rows", tune)
    assert len(figure.axes) == 2
    sounding = bars_of(figure)
    assert sounding[0] == (0, 0.0, 0.46, 60) and sounding[-1] == (1, 0.0, 0.46, 72)
    assert sounding[-3:-1] == [(0, 3.5, 3.73, 64), (0, 3.75, 3.98, 67)]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["C4", "G4", "C5"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_what_is_cut_short_or_cannot_be_read_is_no_tune():
    assert readable(TUNE) is not None
    assert readable(TUNE.rstrip()) is None
    assert readable(TUNE.replace("K:D", "K:H")) is None
    assert readable("Exit, pursued by a bear.\n\n") is None


def test_fullness_counts_bars_of_all_tunes():
    half = read_tune("X:1\nM:2/4\nL:1/4\nK:C\nC|CD|\n")
    assert fullness([half, read_tune(TUNE)]) == 3 / 4
    assert fullness([]) == 0


def test_what_is_known_by_heart_is_written_told_and_drawn(parrot):
    assert write_tune(parrot, seed=0) == TUNE
    section = tune_sections(parrot, [TUNE])["A tune"]
    assert TUNE.strip() in unescape(section)
    assert "10 of them can be read" in section and "100% of their bars" in section
    assert section.count("<svg") == 2


def test_a_net_that_has_learned_little_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setattr(tunes, "LONGEST", 60)  # of tunes that will not be read
    corpus = Corpus(read_corpus(SHIPPED / "dances.abc.gz").learn[:40]).split(0.2, 0)
    language_study(LanguageModel(hidden_size=8, max_steps=5, batch_size=4), corpus, tmp_path / "run", title="Dances")
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "none can be read from beginning to end" in page
    assert "<h2>A tune</h2>" in page and "For comparison" in page and "<h2>A sample</h2>" not in page
