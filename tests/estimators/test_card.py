"""Every estimator on a GPU, the machine's or one that is not there: it learns, answers, is saved, and streams there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.export.c import to_c
from elman.export.onnx import to_onnx
from tests.estimators.tiny import CASES, GERMAN, NAMES, PICTURES, ROLLS, SENTENCES, SIGNALS, SOUNDS, WAVES


def mostly_slow(names: Iterable[str], quick: Iterable[str]) -> list[Any]:
    """All names; only those are quick whose way over the GPU no other has."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


# Half precision with its scaler goes the longest way; the others go the same one, but for it.
PRECISIONS = ["16-mixed", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("32-true", "bf16-mixed"))]
QUICK = (
    *("classifier", "classifier of long signals", "regressor", "tagger with a chain", "tagger of equal lengths"),
    *("translator", "translator, token by token", "transcriber", "captioner with an encoder", "language model, choosy"),
    *("language model of rolls", "forecaster with covariates", "forecaster, recursive", "detector, autoencoder"),
)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", mostly_slow(CASES, QUICK))
def test_it_learns_on_a_gpu_and_answers_as_on_the_cpu(card, tmp_path, name, precision):
    case = CASES[name]
    model = case.make(accelerator="cuda", precision=precision)
    model.fit(*case.data, folder=tmp_path / "run")
    same(case.ask(model), case.ask(elman.load(tmp_path / "run", **given(model))))
    if hasattr(model, "partial_fit"):
        case.ask(model.partial_fit(*case.data))
    assert {(p.device, p.dtype) for p in model.network_.parameters()} == {(card, torch.float32)}


def given(model: Any) -> dict[str, Any]:
    """The user's modules that a run folder does not hold."""
    return {name: value for name in type(model).given if (value := getattr(model, name)) is not None}


def same(found: Any, expected: Any) -> None:
    """Equal, numbers to rounding."""
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, rtol=1e-3)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            same(*pair)
    elif isinstance(expected, float) or (isinstance(expected, np.ndarray) and expected.dtype.kind == "f"):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    else:
        assert np.array_equal(found, expected)


ONE_WAY = {"bidirectional": False, "spelling": 0}
STREAMED = {
    "classifier": SIGNALS[0],
    "classifier of texts": SENTENCES[1].split(),
    "tagger with a chain": NAMES[0],
    "regressor": SIGNALS[1],
    "language model": "so i",
    "language model of rolls": ROLLS[0][:4],
    "forecaster, recursive": [4.0, 5.0],
    "detector": WAVES[0][:6],
}


@pytest.mark.parametrize("name", mostly_slow(STREAMED, ("tagger with a chain", "forecaster, recursive", "detector")))
def test_what_learned_on_a_gpu_streams_and_is_exported_as_on_the_cpu(card, tmp_path, name):
    case = CASES[name]
    options = ONE_WAY if "bidirectional" in case.make().get_params() else {}
    model = case.make(accelerator="cuda", **options).fit(*case.data)
    model.save(tmp_path / "run")
    plain = elman.load(tmp_path / "run")
    which = {"series": "a"} if "forecaster" in name else {}
    streams = [one.stream(**which) for one in (model, plain)]
    for step in STREAMED[name]:
        same(*(stream.push(step) for stream in streams))
    if "forecaster" in name or "detector" in name:
        return
    written = [to_c(one, tmp_path / where) for one, where in ((model, "card"), (plain, "cpu"))]
    assert written[0].source.read_bytes() == written[1].source.read_bytes()
    assert to_onnx(model, tmp_path / "net.onnx").error < 1e-4
    assert to_onnx(model, tmp_path / "step.onnx", steps=True).error < 1e-4


EXPLAINED = {
    "classifier": SIGNALS[0],
    "tagger": NAMES[0],
    "translator": GERMAN[0],
    "transcriber": SOUNDS[0],
    "captioner": PICTURES[0],
    "language model": "so it",
    "language model of rolls": ROLLS[0],
    "forecaster": "a",
    "detector": WAVES[0],
}


@pytest.mark.parametrize("name", mostly_slow(EXPLAINED, ("classifier", "language model", "detector")))
def test_what_learned_on_a_gpu_is_looked_into_as_on_the_cpu(card, tmp_path, name):
    case = CASES[name]
    model = case.fit(accelerator="cuda")
    model.save(tmp_path / "run")
    plain = elman.load(tmp_path / "run")
    flows = [elman.diagnose(one, case.data if len(case.data) > 1 else case.data[0]).flows for one in (model, plain)]
    same(*([flow.memory for flow in one] for one in flows))
    shares = [elman.explain_example(one, EXPLAINED[name]).attribution.parts for one in (model, plain)]
    np.testing.assert_allclose(*shares, rtol=1e-3, atol=1e-4)
