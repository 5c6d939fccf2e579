"""A stream in a pipe: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from elman.errors import DataError, ElmanError
from elman.steps import Stream

LONGEST = 1_000_000
"""bytes of a line: what is longer is no step"""


def answers(stream: Stream, source: BinaryIO, inputs: Sequence[str] = ()) -> Iterator[str]:
    """The answer to each line, as JSON without a line break, when the line has come; empty lines have none.

    A line is a step: a number, null where it is missing, a list of numbers, or a name; or an object with the step as
    "x", or with a number for each of `inputs`. What else an object has comes back with its answer. An answer counts the
    steps; of a line that is no step it is an error with the line's number, and the stream is as it was before.

    >>> import elman, io
    >>> stream = Stream(elman.steps.StackStep("net", elman.Recurrent("gru", 1, 1)))
    >>> for line in answers(stream, io.BytesIO(b'1.5' + bytes([10]) + b'[1, 2]')):
    ...     print(line[:16])
    {"step": 1, "y":
    {"line": 2, "err
    """
    number = 0
    while line := source.readline(LONGEST + 1):
        number += 1
        try:
            if len(line) > LONGEST and not line.endswith(b"\n"):
                while (rest := source.readline(LONGEST)) and not rest.endswith(b"\n"):
                    pass
                raise DataError(f"a step must be a line of at most {LONGEST} bytes, got more. Push one time step.")
            if line.strip():
                yield write(answer(stream, read(line), inputs))
        except ElmanError as problem:
            yield write({"line": number, "error": str(problem)})


def answer(stream: Stream, given: Any, inputs: Sequence[str] = ()) -> dict[str, Any]:
    """What the stream says after the step that was given, and what came with the step."""
    x, rest = step_of(given, inputs)
    y = stream.push(x)
    return {**rest, "step": stream.steps, **stream.answer(y)}


def step_of(given: Any, inputs: Sequence[str] = ()) -> tuple[Any, dict[str, Any]]:
    """The step in what a line said, and what else came with it. Raises `DataError`."""
    if not isinstance(given, dict):
        return given, {}
    if "x" in given and inputs != ("x",):
        return given["x"], {name: value for name, value in given.items() if name != "x"}
    if gone := [name for name in inputs or ("x",) if name not in given]:
        raise DataError(f"a step must have {', '.join(inputs or ('x',))}, {gone[0]!r} is missing. Name it, or give x.")
    x = [given[name] for name in inputs]
    return (x if len(x) > 1 else x[0]), {name: value for name, value in given.items() if name not in inputs}


def read(line: bytes) -> Any:
    """The value in a line of JSON. Raises `DataError`."""
    try:
        return json.loads(line)
    except UnicodeDecodeError:
        raise DataError(f"a step must be JSON in UTF-8, got {line[:40]!r}.") from None
    except (ValueError, RecursionError) as problem:
        raise DataError(f"a step must be JSON, got {line[:40]!r} ({str(problem).split(':')[0]}).") from None


def write(value: Any) -> str:
    """JSON of one line: numbers with the digits that a float32 has, null for what is no number."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def plain(value: Any, digits: int = 7) -> Any:
    """The same with numbers that JSON has; nine digits give a float32 back as it was."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(one, digits) for name, one in value.items()}
    return [plain(one, digits) for one in value] if isinstance(value, (list, tuple)) else value
