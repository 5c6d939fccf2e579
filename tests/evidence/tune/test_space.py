"""What is searched over follows from the estimator; what cannot be is told in one line."""

from __future__ import annotations

import pytest

import elman
from elman.errors import ElmanError
from elman.estimators import Forecaster, LanguageModel, SequenceClassifier
from elman.estimators.base import changed
from elman.evidence.tune.space import USUAL, Choice, Range, defaults, fixed, make_space


@pytest.mark.parametrize("estimator", [SequenceClassifier(), Forecaster(horizon=3), LanguageModel(cell="gru")])
def test_the_estimators_own_values_lie_in_the_usual_ranges(estimator):
    space = make_space(estimator)
    has = estimator.get_params()
    assert set(space) == set(USUAL) & set(has)
    assert defaults(estimator, space) == {name: has[name] for name in space}
    assert all(estimator.cell in domain for domain in [space["cell"]])


def test_only_what_has_a_length_of_truncation_is_searched_for_one():
    assert "truncate" in make_space(LanguageModel())
    assert "truncate" not in make_space(SequenceClassifier())


def test_ranges_are_narrowed_widened_and_chosen():
    space = make_space(SequenceClassifier(), {"hidden_size": (8, 16), "zoneout": (0.0, 0.3), "cell": ["gru", "MGU"]})
    assert space["hidden_size"] == Range(8, 16, whole=True, log=False)
    assert space["zoneout"] == Range(0.0, 0.3)
    assert space["cell"] == Choice(("gru", "mgu"))
    assert "learning_rate" in space
    assert list(make_space(SequenceClassifier(), only=["learning_rate"])) == ["learning_rate"]


def test_one_value_is_kept_and_no_longer_searched():
    asked = {"dropout": 0.25, "cell": "gru", "num_layers": (2, 2)}
    model = changed(SequenceClassifier(), **fixed(SequenceClassifier(), asked))
    assert (model.dropout, model.cell, model.num_layers) == (0.25, "gru", 2)
    assert not set(asked) & set(make_space(model, asked))


def test_a_value_outside_the_range_is_no_part_of_the_first_trial():
    model = SequenceClassifier(hidden_size=100)
    space = make_space(model, {"hidden_size": (8, 16)}, only=["dropout"])
    assert defaults(model, space) == {"dropout": 0.5}


def test_a_cell_of_ones_own_is_tried():
    class Sluggish(elman.Cell):
        gates = ("a",)

        def step(self, x, r, s, p):
            return 0.9 * s.h + 0.1 * (x.a + r.a)

    space = make_space(SequenceClassifier(cell=Sluggish), {"cell": [Sluggish, "gru"]})
    assert space["cell"] == Choice(("Sluggish", "gru"))


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"hiden_size": (1, 2)}, "has no such argument; did you mean 'hidden_size'?"),
        ({"label_smoothing": (0.0, 0.2)}, "of other values the losses could not be compared"),
        ({"dropout": (0.5, 0.1)}, "must go from a lower number to a higher one, got 0.5 to 0.1"),
        ({"dropout": (0.1, 0.2, 0.3)}, "must be two numbers (low, high), a list of values or one value"),
        ({"dropout": (0.0, 1.5)}, "dropout=1.5 cannot be tried."),
        ({"cell": ["ltsm", "gru"]}, "unknown cell 'ltsm', did you mean 'lstm'?"),
        ({"cell": []}, "must have a value to try, got none"),
        ({"zoneout": None}, "zoneout has no usual range here"),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(search, told):
    with pytest.raises(ElmanError) as problem:
        make_space(SequenceClassifier(), search)
    assert told in str(problem.value)
    assert "\n" not in str(problem.value)


def test_nothing_to_search_is_told():
    with pytest.raises(ElmanError, match="nothing is left to search over"):
        make_space(SequenceClassifier(), {"dropout": 0.5}, only=["dropout"])
