"""What the tests of generated code share."""

from __future__ import annotations

import pytest

from elman.backends.native.compiler import Compiler, find_compiler, no_compiler_reason


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """This machine's compiler; without one the test is skipped, visibly."""
    found = find_compiler()
    if found is None:
        pytest.skip(no_compiler_reason())
    return found
