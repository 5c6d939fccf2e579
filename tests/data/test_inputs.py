"""What a sequence is made of: numbers and names, learned once, then applied."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.data.inputs import Names, Numbers, inputs_from_json, is_text
from elman.errors import DataError


def test_numbers_are_standardised_over_all_steps_of_all_sequences():
    rng = np.random.default_rng(0)
    X = [rng.normal([3, -5], [2, 0.1], size=(n, 2)) for n in (5, 9, 1)]
    encoded = torch.cat(Numbers.fit(X).encode(X, "here"))
    assert torch.allclose(encoded.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(encoded.std(0, unbiased=False), torch.ones(2), atol=1e-5)


def test_a_constant_feature_is_zero_and_stays_finite_elsewhere():
    numbers = Numbers.fit([np.full((4, 1), 7.0)])
    assert numbers.encode([np.array([[7.0], [8.0]])], "here")[0].tolist() == [[0.0], [1.0]]


def test_gaps_of_the_training_data_bring_a_column_and_later_ones_are_the_mean():
    X = [np.array([[1.0, 1.0], [np.nan, 3.0], [3.0, 5.0]])]
    numbers = Numbers.fit(X)
    assert numbers.gaps == (0,)
    assert numbers.width == 3
    assert numbers.encode(X, "here")[0][:, 2].tolist() == [0, 1, 0]
    assert numbers.encode([np.array([[np.nan, np.nan]])], "here")[0].tolist() == [[0, 0, 1]]


def test_a_vector_has_one_feature():
    assert [x.shape for x in Numbers.fit([[1.0, 2.0]]).encode([[1.0], [2.0, 3.0]], "here")] == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[[1.0, 2.0]], [[1.0]]], r"sequence 1 must be \(T, 2\) with T ≥ 1, got \(1, 1\)"),
        ([[1.0], []], r"sequence 1 must be \(T, 1\) with T ≥ 1, got \(0, 1\). Leave empty sequences out"),
        ([["a", 1.0]], "sequence 0 must be numbers"),
        ([[1.0, np.inf]], "must be finite or NaN for missing, got inf at step 1, feature 0"),
        ([[np.nan], [np.nan]], "feature 0 has none"),
    ],
)
def test_wrong_numbers_are_one_line(X, message):
    with pytest.raises(DataError, match=message) as problem:
        Numbers.fit(X, "Classifier.fit")
    assert str(problem.value).startswith("Classifier.fit: ")
    assert "\n" not in str(problem.value)


def test_text_is_cut_into_words_and_marks():
    names = Names.fit(["It's so; isn't it?"])
    assert names.cut("It's so; isn't it?") == ["It's", "so", ";", "isn't", "it", "?"]
    assert Names.fit(["ab"], analyzer="character").cut("ab") == ["a", "b"]
    assert Names.fit([["New York", "is"]]).cut(["New York", "is"]) == ["New York", "is"]


def test_rare_names_are_unknown_and_the_most_frequent_are_kept():
    names = Names.fit(["a a a b b c"], most=2)
    assert names.vocabulary.names == ("a", "b")
    assert Names.fit(["a a b"], least=2).encode(["a b z"], "here")[0].flatten().tolist() == [1, 0, 0]


def test_capitals_count_together_but_are_spelt_apart():
    names = Names.fit(["Go go GO"], least=3, spelling=4)
    encoded = names.encode(["GO go"], "here")[0]
    assert encoded.shape == (2, 5)
    assert encoded[:, 0].tolist() == [1, 1]
    assert encoded[0, 1:].tolist() != encoded[1, 1:].tolist()
    assert encoded[:, 3:].eq(0).all()


def test_a_long_name_is_read_at_both_ends():
    names = Names.fit(["abcdefgh"], spelling=4)
    letters = "".join(names.letters.names[code - 2] for code in names.encode(["abcdefgh"], "here")[0][0, 1:].tolist())
    assert letters == "abgh"
    assert names.encode(["a!z"], "here")[0][0, 1].item() > 1
    assert names.encode([["zz"]], "here")[0][0, 1:].tolist() == [1, 1, 0, 0]  # letters never seen


@pytest.mark.parametrize(
    ("X", "message"), [(["a", " "], "sequence 1 is empty"), (["a", 3], "sequence 1 must be text or a list of names")]
)
def test_wrong_texts_are_one_line(X, message):
    with pytest.raises(DataError, match=message):
        Names.fit(["a"]).encode(X, "here")


def test_they_come_back_from_json():
    for inputs in (Names.fit(["so it is"], spelling=3), Numbers.fit([[1.0, np.nan]])):
        assert inputs_from_json(inputs.to_json()) == inputs


def test_the_first_sequence_tells_text_from_numbers():
    assert is_text(["a"])
    assert is_text([["a", "b"]])
    assert not is_text([[1.0]])
    assert not is_text(np.zeros((2, 3)))
    assert not is_text([])
