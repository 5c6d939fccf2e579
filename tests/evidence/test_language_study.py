"""From a file to a judged run folder and back to new text: the study of language models, its report, the command."""

from __future__ import annotations

import gzip
import json
from html import escape

import numpy as np
import pytest
from typer.testing import CliRunner

import elman
from elman.cli.app import app
from elman.data.corpus import Corpus
from elman.estimators import LanguageModel
from elman.evidence.language_plots import plot_rolls
from elman.evidence.language_study import judge_language, language_study

SMALL = {"hidden_size": 8, "embedding_size": 4, "max_steps": 15, "batch_size": 4, "truncate": 20}


def command(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def verses(shared_data, tmp_path):
    """The beginning of a real text."""
    with gzip.open(shared_data / "language" / "tinyshakespeare.txt.gz", "rt") as file:
        (tmp_path / "verses.txt").write_text(file.read(12_000))
    return tmp_path / "verses.txt"


def rolls(count, seed=0):
    rng = np.random.default_rng(seed)
    return tuple((rng.random((24, 6)) < 0.3).astype(np.uint8) for _ in range(count))


def test_a_study_of_a_text_leaves_a_report_with_a_sample(tmp_path):
    corpus = Corpus(("<b>so</b> it goes. " * 60,)).split(0.2, 0)
    model = LanguageModel(**SMALL)
    judged = language_study(model, corpus, tmp_path / "run", title="So <b>")
    page = (tmp_path / "run" / "report.html").read_text()
    assert escape(judged.scoreboard.sentence()) in page
    for heading in ("Scoreboard", "A sample", "What surprised it", "Training", "Configuration"):
        assert f"<h2>{heading}</h2>" in page
    assert "<b>" not in page
    assert json.loads((tmp_path / "run" / "scoreboard.json").read_text())["kind"] == "character"
    assert (elman.load(tmp_path / "run").losses(corpus.test)[0] == judged.losses[0]).all()


def test_a_study_of_rolls_has_their_picture(tmp_path):
    corpus = Corpus(rolls(8), rolls(2, 1), rolls(3, 2))
    judged = language_study(LanguageModel(**SMALL), corpus, tmp_path / "run", title="Rolls")
    assert [row.model for row in judged.scoreboard.rows if row.is_network] == ["LSTM"]
    assert len(judged.scoreboard.rows) == 5
    assert "what was generated after them" in (tmp_path / "run" / "report.html").read_text()


def test_a_roll_is_drawn_note_by_note():
    given, new = np.array([[1, 0], [1, 0], [0, 0], [1, 1]]), np.array([[0, 1], [1, 1]])
    above, below = plot_rolls(given, new, 1 - new).axes
    bars = [path.get_extents() for bars in above.collections for path in bars.get_paths()]
    found = {(b.x0, b.x1, round((b.y0 + b.y1) / 2)) for b in bars}
    assert found == {(0, 2, 0), (3, 4, 0), (5, 6, 0), (3, 4, 1), (4, 6, 1)}
    assert below.get_xlim() == (0, 6)


def test_unknown_words_are_owned_up_to():
    corpus = Corpus(("so it goes . " * 30,), (), ("so it is not .",))
    judged = judge_language(LanguageModel(analyzer="space", **SMALL), corpus)
    assert judged.scoreboard.error == "perplexity"
    assert "2 of 5 tokens of the test texts are not in the vocabulary of 4" in judged.scoreboard.notes[0]


def test_generate_learns_then_writes(verses, tmp_path):
    options = ("--steps", 20, "--hidden-size", 8)
    done = command("generate", verses, *options, "--share", 0.25, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "2999 characters to predict" in done.stdout
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        *("model.safetensors", "config.json", "metrics.jsonl", "manifest.json"),
        *("report.html", "card.md", "scoreboard.json"),
    }
    drawn = ("--temperature", 0.8, "--top-k", 20, "--top-p", 0.95, "--max-new-tokens", 30)
    first, again, other = (
        command("generate", tmp_path / "run", "--prompt", "First", "--seed", seed, *drawn) for seed in (1, 1, 2)
    )
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("First") and len(first.stdout) == 5 + 30 + 1
    assert first.stdout == again.stdout != other.stdout
    model = elman.load(tmp_path / "run")
    text = model.generate("First", max_new_tokens=30, seed=1, temperature=0.8, top_k=20, top_p=0.95)
    assert first.stdout == f"First{text}\n"
    same = command("generate", verses, *options, "--share", 0.25, "--out", tmp_path / "run", "--resume")
    assert same.exit_code == 0, same.output
    assert "holds a finished run" in command("generate", verses, *options, "--out", tmp_path / "run").stderr


def test_generate_words_judged_by_another_file(verses, tmp_path):
    judge = tmp_path / "other.txt"
    judge.write_text(verses.read_text()[-2000:])
    options = ("--steps", 5, "--hidden-size", 8, "--analyzer", "word", "--test", judge)
    done = command("generate", verses, *options, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "perplexity" in done.stdout and "words to predict" in done.stdout
    said = command("generate", tmp_path / "run", "--prompt", "the", "--max-new-tokens", 5).stdout
    assert len(said.split(" ")) == 6


def test_generate_frames(tmp_path):
    np.savez(tmp_path / "rolls.npz", **{f"train{i}": roll for i, roll in enumerate(rolls(12))})
    done = command("generate", tmp_path / "rolls.npz", "--steps", 5, "--hidden-size", 8, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "NLL per frame" in done.stdout
    said = command("generate", tmp_path / "run", "--max-new-tokens", 7, "--seed", 3)
    frames = elman.load(tmp_path / "run").generate(max_new_tokens=7, seed=3)
    assert said.stdout.splitlines() == [" ".join(map(str, np.flatnonzero(frame))) for frame in frames]


def test_wrong_calls_are_one_line(verses, tmp_path):
    run = tmp_path / "run"
    LanguageModel(**SMALL).fit("so it goes. " * 20, folder=run)
    LanguageModel(**SMALL).fit(rolls(4), folder=tmp_path / "rolls")
    for arguments, message in (
        ((tmp_path / "no.txt",), "no such file"),
        ((verses, "--share", 2), "--share must be between 0 and 1"),
        ((verses, "--top-k", 3), "--top-k is for when it writes from a RUN folder"),
        ((verses, "--analyzer", "words"), "did you mean 'word'"),
        ((verses, "--resume"), "--resume needs the run to go on with"),
        ((run, "--steps", 3), "--steps is for when it learns from a FILE"),
        ((run, "--top-p", 2), "--top-p must be in (0, 1]"),
        ((run, "--max-new-tokens", 0), "--max-new-tokens must be a whole number"),
        ((tmp_path,), "not a whole elman run folder"),
        ((tmp_path / "rolls", "--prompt", "a"), "--prompt is text, and this run reads piano rolls"),
        ((tmp_path / "rolls", "--top-k", 3), "frames of notes take do_sample and temperature alone, got top_k"),
    ):
        done = command("generate", *arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert message in done.output, done.output
        assert done.output.count("\n") == 1
    assert "Use it so: elman generate" in command("predict", run).output
