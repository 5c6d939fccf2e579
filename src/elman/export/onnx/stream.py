"""`OnnxStream`: how the state is carried through a file of one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elman.errors import RunError, ShapeError
from elman.export.onnx.models import NEXT
from elman.export.onnx.nodes import onnx_packages
from elman.export.onnx.parity import session


class OnnxStream:
    """One sequence through a file that `to_onnx(..., steps=True)` wrote, step by step, by ONNX Runtime.

    path     the file
    about    its metadata, by name
    outputs  what the numbers of an answer are: classes, names, or None

    A step is a call of the graph with x and the state; what it gives besides the answer is the state of the next call.
    In any language that ONNX Runtime has, that is all there is to it.

    Raises `RunError` for a file that is not there or is none of one step, `MissingExtraError` without onnxruntime.

    >>> import elman, tempfile
    >>> from elman.export import to_onnx
    >>> net = elman.Recurrent("gru", 3, 8)
    >>> stream = OnnxStream(to_onnx(net, Path(tempfile.mkdtemp(), "step.onnx"), steps=True).path)
    >>> x, exact = np.ones((5, 3)), net.stream()
    >>> all(np.allclose(stream.push(one), exact.push(one), atol=1e-5) for one in x)
    True
    """

    def __init__(self, path: Path | str) -> None:
        path, runtime = Path(path), onnx_packages()[1]
        try:
            self._session = session(path.read_bytes())
        except OSError as problem:
            raise RunError(f"{path}: could not be read, {problem.strerror}. Check the name.") from None
        except runtime.capi.onnxruntime_pybind11_state.InvalidProtobuf:
            raise RunError(f"{path}: is no ONNX file. Write it with to_onnx.") from None
        self.about: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        given = {port.name: port for port in self._session.get_inputs()}
        if "elman.state" not in self.about or "lengths" in given:
            raise RunError(f"{path}: is not a graph of one step. Write it with to_onnx(..., steps=True).")
        self.outputs: list[Any] | None = json.loads(self.about.get("elman.outputs", "null"))
        kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
        self._kind, self._inputs = kinds[given["x"].type], given["x"].shape[1]
        parts = json.loads(self.about["elman.state"])
        self._first = {p["name"]: np.full((1, *p["shape"]), p["start"], np.float32) for p in parts}
        self._wanted = ["y", *(name + NEXT for name in self._first)]
        self.reset()

    def push(self, x: Any) -> np.ndarray:
        """The answer (K,) after one more step: numbers (I,), NaN for missing, or the code of a name."""
        given = np.asarray(x, self._kind).reshape(1, -1)
        if given.shape[1] != self._inputs:
            raise ShapeError(f"OnnxStream: a step must be ({self._inputs},), got {np.shape(x)}. Push one time step.")
        y, *after = self._session.run(self._wanted, {"x": given, **self._state})
        self._state = dict(zip(self._state, after, strict=True))
        return y[0]

    @property
    def state(self) -> dict[str, np.ndarray]:
        """A copy of the state by its parts, as `elman.steps.Stream` has it: those of the layers are (L, H)."""
        return {name: part[0].copy() for name, part in self._state.items()}

    @state.setter
    def state(self, new: Mapping[str, Any]) -> None:
        if set(new) != set(self._first):
            raise ShapeError(f"OnnxStream: the state must have the parts {', '.join(self._first)}, got {sorted(new)}.")
        state = {}
        for name, first in self._first.items():
            part = np.array(new[name], np.float32)
            if part.shape != first.shape[1:]:
                raise ShapeError(f"OnnxStream: part {name!r} must be {first.shape[1:]}, got {part.shape}.")
            state[name] = part[None]
        self._state = state

    def reset(self) -> None:
        """Back to the beginning."""
        self._state = dict(self._first)

    def fork(self) -> OnnxStream:
        """Another stream that goes on from here by itself, on the same session."""
        other = object.__new__(OnnxStream)
        vars(other).update(vars(self))  # no array of a state is ever written to: a step makes new ones
        return other
