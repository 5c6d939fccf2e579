"""Recurrent or not: every method on every data set, streams as quick as is said, and advice that follows the test."""

from __future__ import annotations

import pytest
import recurrent_or_not
from contest import Scored, Task


@pytest.fixture(scope="module")
def page(made):
    return made(recurrent_or_not)


@pytest.mark.slow
def test_every_kind_on_every_data_set(page):
    tasks = page[0].numbers["tasks"]
    assert len(tasks) == 5
    for task in tasks.values():
        assert {row["kind"] for row in task["rows"]} == set(recurrent_or_not.KINDS)
        assert sum(row["p"] is None for row in task["rows"]) == 1
        assert all(row["step"] > 0 and row["fit"] >= 0 for row in task["rows"])
        best = next(row["score"] for row in task["rows"] if row["p"] is None)
        scores = [row["score"] for row in task["rows"]]
        assert best == (max(scores) if task["measured"] == "accuracy" else min(scores))


@pytest.mark.slow
def test_a_state_makes_the_next_answer_cheap(page):
    for task in page[0].numbers["tasks"].values():
        step = {row["method"]: row["step"] for row in task["rows"]}
        if task["measured"] != "MASE":
            assert step["LSTM"] < step["convolution"] / 5
            assert step["LSTM"] < step["LSTM, both ways"] / 5


@pytest.mark.slow
def test_parameters_are_counted(page):
    rows = {row["method"]: row for row in page[0].numbers["tasks"]["gestures"]["rows"]}
    units, inputs, classes = 16, 6, 2
    assert rows["LSTM"]["parameters"] == 4 * units * (inputs + units + 1) + classes * (units + 1)
    assert rows["Kalman filter"]["parameters"] == 1 + 2 * inputs + 1  # the gains' one number, and what reads
    hidden = units * (inputs + 1) + units * (units + 1)
    assert rows["feed-forward, one step"]["parameters"] == hidden + classes * (units + 1)


@pytest.mark.slow
def test_the_page_says_what_was_measured(page):
    numbers, text = page[0].numbers, page[1]
    for name, task in numbers["tasks"].items():
        assert f"**{numbers['advice'][name]}: " in text and task["words"] in text


def row(method, kind, score, p, step=1e-3, answers="streams"):
    return Scored(method, kind, score, p, 1, 0.0, step, answers)


def task(*rows, every=0.01, measured="accuracy"):
    return Task("t", "", "frame", every, measured, rows)


def test_the_simplest_that_is_not_told_from_the_best():
    found = task(
        row("guess", "simple", 0.5, 0.001), row("filter", "filter", 0.88, 0.2), row("LSTM", "recurrent", 0.9, None)
    )
    assert found.best.method == "LSTM" and [each.method for each in found.equals] == ["filter", "LSTM"]
    assert found.advice().startswith("**filter: not a recurrent network.** The best accuracy is 0.900, of LSTM;")


def test_a_net_that_wins_is_told():
    found = task(row("guess", "simple", 2.0, 0.001), row("LSTM", "recurrent", 1.0, None), measured="RMSE")
    assert found.advice().startswith("**LSTM: a recurrent network.** It has the best RMSE, 1.000, and all others lose.")


def test_what_is_late_or_waits_for_the_end_is_no_live_answer():
    late = row("convolution", "convolution", 0.9, None, step=0.1, answers="reads anew")
    waits = row("both ways", "recurrent", 0.9, 0.9, answers="at the end")
    worse = row("LSTM", "recurrent", 0.8, 0.001)
    worst = row("guess", "simple", 0.5, 0.001)
    found = task(worst, late, worse, waits)
    assert found.live == (worse, False) and "though it is worse (0.800, p = 0.001)" in found.advice()
    assert task(worst, late, worse, waits, every=None).live == (late, True)
