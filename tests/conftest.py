"""What every test shares: the tolerances, one thread, and the folder of real data beside the checkout."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# Before anything imports triton: without a GPU its kernels are interpreted.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Allowed relative and absolute error, by dtype. One table, never loosened.
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.float64: {"rtol": 1e-9, "atol": 1e-10}}
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """What is imported by now is no garbage: looking it through time and again would take a tenth of all the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data; the test is skipped, visibly, where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return SHARED_DATA


def assert_close(got: torch.Tensor, expected: torch.Tensor, what: str = "") -> None:
    """Equal within the table's tolerance for that dtype; NaN is never equal."""
    torch.testing.assert_close(got, expected, **TOLERANCE[expected.dtype], msg=lambda m: f"{what}: {m}")


@pytest.fixture
def card() -> Iterator[torch.device]:
    """A CUDA card: the machine's, or one that is not there (`tests.card`)."""
    from tests.card import compiler, pretended

    if not torch.cuda.is_available() and compiler() is None:
        pytest.skip("neither a GPU nor a C++ compiler, for one that is not there")
    with pretended() as device:
        yield device
