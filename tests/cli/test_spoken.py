"""Errors of the library name arguments of Python; who typed a command is told the options."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from elman.cli.app import app, forecast, predict
from elman.cli.spoken import spoken


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name the column that tells series apart (--series …)."),
        (["--series", "shop", "--freq", "W"], "Its times fit --freq D."),
        (
            ["--series", "shop", "--hidden-size", "0"],
            "Recurrent(LSTM): --hidden-size must be a whole number ≥ 1, got 0.",
        ),
        (["--series", "shop", "--steps", "0"], "TrainingSettings: --steps must be greater"),
        (["--series", "shop", "--windows", "0"], "study: --windows must be a whole number ≥ 1, got 0."),
        (["--series", "shop", "--output", "negative-binomial"], "Use --output student-t or"),
        (["--series", "shop", "--set", "target_transform=log"], "Use --set target_transform=none."),
    ],
)
def test_arguments_are_told_as_the_options_that_were_typed(words, told, tmp_path):
    day = pd.date_range("2024", periods=60)
    parts = [pd.DataFrame({"day": day, "shop": name, "sold": np.sin(np.arange(60)) - k}) for k, name in enumerate("ab")]
    pd.concat(parts).to_csv(tmp_path / "sales.csv", index=False)
    asked = ["forecast", str(tmp_path / "sales.csv"), "--time", "day", "--target", "sold", "--horizon", "3"]
    done = CliRunner().invoke(app, [*asked, *words, "--out", str(tmp_path / "run")])
    assert done.exit_code == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("elman: ") and "=" not in done.stderr.replace("--set target_transform=", "")


@pytest.mark.parametrize(
    ("message", "run", "told"),
    [
        ("r: holds a run. Resume it (resume=True).", forecast, "r: holds a run. Resume it (--resume)."),
        ("Train with strategy='recursive'.", predict, "Train with --set strategy=recursive."),
        ("It fits freq='W-SUN'.", predict, "It fits --set freq=W-SUN."),
        ("Name one: series='North shop'.", forecast, "Name one: --series 'North shop'."),
        ("`torch.sum(freq=1)` is not pointwise.", forecast, "`torch.sum(freq=1)` is not pointwise."),
        ("Write steps=True, or /data/freq=D/x.csv.", predict, "Write steps=True, or /data/freq=D/x.csv."),
        ("Remedy: --set dropout=0.1 --share=2.", forecast, "Remedy: --set dropout=0.1 --share=2."),
        ("times must be distinct: every series must have 9.", forecast, None),
    ],
)
def test_only_what_is_an_argument_is_changed(message, run, told):
    assert spoken(message, run) == (message if told is None else told)
