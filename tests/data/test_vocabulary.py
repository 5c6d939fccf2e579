"""Categories to numbers and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import Vocabulary
from elman.errors import DataError


@given(st.lists(st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_every_fitted_name_has_a_code_of_its_own_and_survives_json(values):
    vocabulary = Vocabulary.fit(values)
    codes = vocabulary.encode(values)
    assert codes.dtype == np.int64
    assert ((codes > 0) == [v is not None for v in values]).all()
    assert (codes < len(vocabulary)).all()
    decoded = ["", *vocabulary.names]
    assert all(decoded[c] == str(v) for c, v in zip(codes, values, strict=True) if v is not None)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_unknown_and_missing_are_zero():
    vocabulary = Vocabulary.fit(["b", "a", np.nan, None, pd.NA, pd.NaT])
    assert vocabulary.names == ("a", "b")
    assert vocabulary.encode(["c", None, np.nan, pd.NA, "b"]).tolist() == [0, 0, 0, 0, 2]


@pytest.mark.parametrize("names", [None, "ab", ["a", "a"], ["a", 1], {"a": 1}])
def test_foreign_json_is_refused(names):
    with pytest.raises(DataError, match="distinct strings"):
        Vocabulary.from_json(names)
