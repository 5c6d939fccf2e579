"""The command that trains what a comparison or a search found, made from theirs."""

from __future__ import annotations

import pytest

from elman.cli.again import trained_by


@pytest.mark.parametrize(
    ("given", "found", "without", "told"),
    [
        (
            "compare classify x.csv --label kind --cell gru --cell lstm --layers 1 --hidden-size 8 --out runs/x",
            ["--cell", "gru", "--layers", "1", "--hidden-size", "8"],
            ["--cell", "--layers", "--hidden-size"],
            "elman classify x.csv --label kind --cell gru --layers 1 --hidden-size 8",
        ),
        (
            "tune tag x.csv --set learning_rate=0.1 --set crf=true --trials=9 --resume --steps 5",
            ["--set", "learning_rate=0.02"],
            ["learning_rate"],
            "elman tag x.csv --set crf=true --steps 5 --set learning_rate=0.02",
        ),
        ("compare forecast y.csv --time t --resume", [], [], "elman forecast y.csv --time t"),
        ("-q tests", ["--cell", "gru"], [], "elman … --cell gru"),
    ],
)
def test_what_is_left_and_what_takes_its_place(given, found, without, told):
    assert trained_by(found, without, given=given.split()).replace("'", "") == told
