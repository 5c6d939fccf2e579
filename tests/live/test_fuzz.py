"""Any request that the server's own OpenAPI document allows, and many that it does not: no 5xx, no traceback."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.live.test_server import served
from tests.steps.models import fitted

schemathesis = pytest.importorskip("schemathesis")


@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["classifier max", "tagger crf=True spelling=0"])
def test_no_request_breaks_the_server(name, examples):
    with served(fitted(name)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        seen: dict[str, set[int]] = {}
        for operation in schema.get_all_operations():
            _try(operation.ok(), examples, seen)
    statuses = set().union(*seen.values())
    assert len(seen) >= 9 and 200 in statuses and 422 in statuses, seen
    assert not {status for status in statuses if status >= 500}, seen


def _try(operation, examples, seen):
    """Requests of one operation, valid and not."""
    strategy = schemathesis.GenerationMode
    for mode in (strategy.POSITIVE, strategy.NEGATIVE):

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def request(case):
            found = case.call(timeout=20)
            seen.setdefault(operation.label, set()).add(found.status_code)
            assert found.status_code < 500, found.text
            assert "Traceback" not in found.text

        with contextlib.suppress(Unsatisfiable):  # an operation without parameters has no wrong requests
            request()
