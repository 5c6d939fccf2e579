"""Texts: their scoreboard, what a net must be better than, the study from pairs to a report."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from elman.errors import DataError
from elman.estimators import Captioner, Translator
from elman.evidence.label_study import Examples
from elman.evidence.phrases import FrequentText, NearestText, PhraseTable
from elman.evidence.text_plots import captioned_html, compared_html
from elman.evidence.text_study import text_study
from elman.evidence.texts import TextBoard, Written

GERMAN = ["der Hund schläft", "der Mann schläft", "der Hund rennt", "eine Frau rennt", "eine Frau schläft"]
ENGLISH = ["the dog sleeps", "the man sleeps", "the dog runs", "a woman runs", "a woman sleeps"]


def test_the_phrase_table_translates_what_always_comes_together():
    table = PhraseTable().fit([*GERMAN, "der Mann lacht"], [*ENGLISH, "the man laughs"])
    assert table.predict(["Der Mann rennt", "eine Frau schläft heute"]) == ["the man runs", "a woman sleeps heute"]


def test_the_nearest_text_is_that_of_the_most_like_example():
    near = NearestText().fit(GERMAN, ENGLISH)
    assert near.predict(["der Mann schläft tief", "eine Frau rennt fort"]) == ["the man sleeps", "a woman runs"]
    dark, light = np.zeros((2, 2, 1)), np.ones((2, 2, 1))
    half = np.concatenate([dark[:1], light[:1]])
    pictures = NearestText().fit([half, half[::-1]], ["above dark", "below dark"])
    assert pictures.predict([half * 0.5]) == ["above dark"]
    assert FrequentText().fit([0, 0, 0], ["a", "b", "b"]).predict([1]) == ["b"]


def test_the_board_tells_who_is_nearer_to_the_truth():
    truth = [f"{text} in the sun" for text in ENGLISH * 4]
    last = truth[-1].replace("sleeps", "rests")
    found = {"always": Written(truth[:1] * 20), "LSTM": Written([*truth[:-1], last])}
    board = TextBoard.build(found, truth, network="LSTM", kind="translation")
    assert [row.model for row in board.rows] == ["LSTM", "always"]
    assert board.sentence().startswith(
        "LSTM wins: its BLEU is higher than that of the best baseline, always (BLEU: LSTM "
    )
    errors = TextBoard.build(found, truth, network="LSTM", kind="transcript")
    assert errors.rows[0].scores["word errors"] == pytest.approx(1 / 120)
    with pytest.raises(DataError, match="must have 20 texts, got 1"):
        TextBoard.build({"LSTM": Written(["a"])}, truth, network="LSTM", kind="caption")


def test_what_was_written_is_shown_with_its_mistakes_and_nothing_of_it_is_html():
    page = compared_html(["<b>"], ["a dog runs"], ["a <i> runs"])
    assert '<mark class="wrong">&lt;i&gt;</mark>' in page
    assert "<b>" not in page
    shown = captioned_html([np.zeros((2, 2, 3), np.uint8)], ["fog"], ["fog"])
    assert 'src="data:image/png;base64,' in shown
    assert "in truth" not in shown


def test_a_study_leaves_a_run_with_a_report_of_where_it_looked(tmp_path):
    examples = Examples(GERMAN * 4, ENGLISH * 4, GERMAN, ENGLISH)
    small = {"hidden_size": 16, "embedding_size": 16, "max_steps": 150, "learning_rate": 0.01, "dropout": 0.0}
    judged = text_study(Translator(**small), examples, tmp_path / "run", title="pairs")
    assert judged.texts == ENGLISH
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Where it looked" in page
    assert "phrase table" in page
    assert elman.load(tmp_path / "run").predict(GERMAN) == ENGLISH
    again = text_study(Translator(**small), examples, tmp_path / "run", title="pairs", resume=True)
    assert again.texts == judged.texts


def test_a_study_of_pictures_shows_them(tmp_path):
    rng = np.random.default_rng(0)
    X = [rng.uniform(0, 60, (8, 8, 3)) + 190 * (k % 2) for k in range(24)]
    y = ["at noon" if k % 2 else "by night" for k in range(24)]
    small = {"hidden_size": 8, "embedding_size": 8, "side": 8, "blocks": 1, "max_steps": 20}
    text_study(Captioner(**small), Examples(X[:16], y[:16], X[16:], y[16:]), tmp_path / "run", title="light")
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 8
    assert "nearest picture" in page


def test_the_command_translates_from_files_and_again_from_its_run(tmp_path):
    for name, texts in (("a.de", GERMAN * 4), ("a.en", ENGLISH * 4), ("new.de", GERMAN)):
        (tmp_path / name).write_text("\n".join(texts) + "\n", "utf-8")
    run, files = str(tmp_path / "run"), [str(tmp_path / "a.de"), str(tmp_path / "a.en")]
    runner = CliRunner()
    done = runner.invoke(app, ["translate", *files, "--out", run, "--steps", "10", "--hidden-size", "8"])
    assert done.exit_code == 0, done.output
    assert "BLEU" in done.output
    said = runner.invoke(app, ["predict", run, str(tmp_path / "new.de")])
    assert said.output.splitlines()[0] == "sequence,text"
    assert len(said.output.splitlines()) == 6
    alone = runner.invoke(app, ["translate", files[0]])
    assert alone.exit_code == 2
    assert (
        "texts are needed to learn from. Name their column, --text COL, or their file after this one." in alone.output
    )
