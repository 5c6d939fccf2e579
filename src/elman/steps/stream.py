"""A model on one sequence that is still coming: `push` a step, read the answer, keep the state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from elman.errors import RunError, ShapeError, suggest
from elman.files import write_atomic
from elman.steps.causal import Causal, StackStep, refused
from elman.steps.engine import Engine
from elman.steps.parts import layout
from elman.steps.writer import as_array


class Stream:
    """Answers while a sequence comes, one step after another; what it says after t steps depends on these alone.

    model  a fitted estimator, or its `causal()`; the weights are those it had when the stream was opened
    state  where to start: what `state` of another stream gave; None: the beginning

    steps    how many have been pushed since the beginning
    engine   what runs a step; `engine.why` tells why it is not compiled, where it is not

    A stream is for one thread; `fork` gives another one, and any number of them may share a model.

    Raises `OptionError` for a model that needs the whole sequence, `ShapeError` for a state that does not fit.

    >>> import elman
    >>> X, y = [[1, 1, 2], [-1, 0, -2], [2, 1, 0], [0, -2, -1]] * 5, ["above", "below"] * 10
    >>> model = elman.SequenceClassifier(bidirectional=False, hidden_size=8, max_steps=150).fit(X, y)
    >>> stream = model.stream()
    >>> p = [stream.push(x) for x in (1.0, 2.0, 1.5)]
    >>> stream.answer(p[-1])["label"], bool(np.allclose(p[-1], model.predict_proba([[1, 2, 1.5]])[0], atol=1e-6))
    ('above', True)
    """

    def __init__(self, model: Any, state: Any = None) -> None:
        if not isinstance(model, Engine):
            model = Engine(model if isinstance(model, Causal) else model.causal())
        self.engine, self.steps = model, 0
        self._x, self._y = np.zeros(model.step.inputs), np.zeros(model.step.outputs, np.float32)
        self._state = model.first.copy()
        self._views = views(model.step, self._state)
        self._run = model.bind(self._x, self._y, self._state)
        named = isinstance(model.step, StackStep) and model.step.codes is not None
        self._shape, self._one = (None if named else self._x.shape), len(self._x) == 1 and not named
        if state is not None:
            self.state = state

    def push(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The answer (K,) after one more step: numbers (F,), NaN for missing, or a name; with `out`, written there.

        Raises `DataError` or `ShapeError` for what is no step; the stream is then as it was before.
        """
        if type(x) is float and self._one:
            self._x[0] = x
        elif type(x) is np.ndarray and x.shape == self._shape and x.dtype.kind == "f":
            self._x[:] = x
        else:
            self._x[:] = self.engine.step.encode(x)
        if self._run():
            raise refused(self.engine.step.where, self._x)
        self.steps += 1
        if out is None:
            return self._y.copy()
        out[...] = self._y
        return out

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """What `push` gave, in words and plain numbers."""
        return self.engine.step.answer(y)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """A copy of the state by its parts: those of the layers are (L, H)."""
        return {name: part.copy() for name, part in self._views.items()}

    @state.setter
    def state(self, new: Any) -> None:
        """Parts by name; or what a `Recurrent` net gave of one sequence, each (L, 1, H): the other parts begin anew."""
        where = self.engine.step.where
        given = new if isinstance(new, Mapping) else dict(zip(self._views, _parts_of(new), strict=False))
        if odd := sorted(set(given) - set(self._views)):
            raise ShapeError(f"{where}: the state has no part {odd[0]!r}, {suggest(odd[0], self._views)}")
        if isinstance(new, Mapping) and (gone := sorted(set(self._views) - set(given))):
            raise ShapeError(f"{where}: the state must have all of {', '.join(self._views)}, {gone[0]!r} is missing.")
        begin = self.engine.first.copy()
        for name, view in views(self.engine.step, begin).items():
            if name in given:
                value = as_array(given[name])
                if value.shape not in (view.shape, (view.shape[0], 1, *view.shape[1:])):
                    raise ShapeError(f"{where}: part {name!r} of the state must be {view.shape}, got {value.shape}.")
                view[...] = value.reshape(view.shape)
        self._state[:] = begin

    def reset(self) -> None:
        """Back to the beginning."""
        self._state[:] = self.engine.first
        self.steps = 0

    def fork(self) -> Stream:
        """Another stream that goes on from here by itself."""
        other = Stream(self.engine)
        other._state[:], other.steps = self._state, self.steps
        return other

    __copy__ = fork

    def __deepcopy__(self, memo: Any) -> Stream:
        return self.fork()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.engine.step, self.state, self.steps)

    def save(self, path: Path | str) -> None:
        """Writes the state and the count of steps as safetensors: whole, or not at all. Raises `RunError`."""
        from safetensors.numpy import save

        about = {"model": fingerprint(self.engine.step), "steps": str(self.steps)}
        write_atomic(Path(path), save(self.state, metadata=about))

    def restore(self, path: Path | str) -> None:
        """Goes on from what `save` wrote; raises `RunError` for a file that is missing, damaged, or another model's."""
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        try:
            with safe_open(path, "np") as file:
                about, parts = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            raise RunError(f"{path}: no such file of a state. Check the name.") from None
        except (OSError, SafetensorError) as problem:
            raise RunError(f"{path}: not a state that was saved ({problem}). Start anew.") from None
        if about.get("model") != fingerprint(self.engine.step):
            raise RunError(f"{path}: the state of another model than {self.engine.step.where.split('.')[0]}'s run.")
        self.state = parts
        self.steps = int(about["steps"])


def views(step: Causal, state: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of a state (S,) by name, where they lie."""
    return {part.name: state[place].reshape(part.shape) for part, place in layout(step.parts)}


def fingerprint(step: Causal) -> str:
    """16 hexadecimal digits of weights and parts: a state belongs to the model that made it."""
    digest = hashlib.sha256(repr((step.where, step.parts)).encode())
    for name, value in sorted(step.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _parts_of(state: Any) -> tuple[Any, ...]:
    return (state,) if isinstance(state, (Tensor, np.ndarray)) else tuple(state)


def _reopened(step: Causal, state: dict[str, np.ndarray], steps: int) -> Stream:
    stream = Stream(step, state)
    stream.steps = steps
    return stream
