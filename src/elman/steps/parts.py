"""The parts of a step: how it is read, what is kept of the steps so far, what is said.

Each is a small module that says in PyTorch what it computes; `steps.program` writes it as C, `export.onnx` as ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.inputs import Numbers

MOST_NAMED = 10
"""classes that an answer names with their probabilities; of more, the most probable ones"""
LEAST = float(np.finfo(np.float32).min)
"""where a running maximum begins"""


class Part(NamedTuple):
    """A piece of the state: its name, its shape and what it holds before the first step."""

    name: str
    shape: tuple[int, ...]
    start: float = 0.0

    @property
    def size(self) -> int:
        """How many numbers it is."""
        return math.prod(self.shape)


def layout(parts: Sequence[Part]) -> Iterator[tuple[Part, slice]]:
    """Each part, and where it lies among the numbers of a state, all parts one after another.

    >>> list(layout([Part("h", (2, 3)), Part("steps", (1,))]))[1][1]
    slice(6, 7, None)
    """
    at = 0
    for part in parts:
        yield part, slice(at, at + part.size)
        at += part.size


# -- what is read ----------------------------------------------------------------------------------------------------


class Reads(nn.Module):
    """Numbers as they are."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = self.size = inputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, I) to (B, size)."""
        return x.float()

    def vector(self, code: Tensor) -> np.ndarray:
        """The x of a name's code (1, width)."""
        return code[0].double().numpy()


class Measured(Reads):
    """Standardised numbers, (x - mean) / scale, 0 for a missing one; then, for features with gaps, where they are."""

    mean: Tensor
    scale: Tensor

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(len(numbers.mean))
        self.size, self.gaps = numbers.width, list(numbers.gaps)
        self.register_buffer("mean", torch.tensor(numbers.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(numbers.scale, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        missing = x.isnan()
        values = ((x - self.mean) / self.scale).masked_fill(missing, 0.0)
        return torch.cat([values, missing[:, self.gaps]], 1).float()


class Looked(Reads):
    """The vector of a code."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__(1)
        self.size = table.shape[1]
        self.register_buffer("table", table.detach())

    def forward(self, x: Tensor) -> Tensor:
        return self.table[x[:, 0].long()]


class Spelt(Reads):
    """The vector of a name and of how it is spelt, made before the step: what comes in is the vector."""

    def __init__(self, front: nn.Module, size: int) -> None:
        super().__init__(size)
        self.front, self._known = front, dict[bytes, np.ndarray]()

    def vector(self, code: Tensor) -> np.ndarray:
        """Kept for names that come again."""
        key = code.numpy().tobytes()
        if key not in self._known:
            with torch.no_grad():
                read, _ = self.front(code.unsqueeze(0), None)
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[key] = read[0, 0].double().numpy()
        return self._known[key]


# -- what is kept of the steps so far --------------------------------------------------------------------------------


class Pool(nn.Module):
    """The last h."""

    parts: tuple[Part, ...] = ()

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, h: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """h (B, H) and what is kept to the vector of the sequence so far, and what is kept then."""
        return h, ()


class PoolMax(Pool):
    """max_t h_t."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.parts = (Part("most", (size,), LEAST),)

    def forward(self, h: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        most = torch.maximum(kept[0], h)
        return most, (most,)


class PoolMean(Pool):
    """Σ h_t / T, as a running mean: m ← m + (h - m) / t."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.parts = (Part("mean", (size,)), Part("steps", (1,)))

    def forward(self, h: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        steps = kept[1] + 1
        mean = kept[0] + (h - kept[0]) / steps
        return mean, (mean, steps)


class PoolAttention(Pool):
    """Σ softmax(a)_t h_t with a_t = vᵀ tanh(A h_t + b), as a running sum relative to the greatest a so far."""

    def __init__(self, look: nn.Linear, score: nn.Linear) -> None:
        super().__init__(look.in_features)
        self.look, self.score = look, score
        self.parts = (Part("seen", (self.size,)), Part("weight", (1,)), Part("greatest", (1,), LEAST))

    def forward(self, h: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        seen, weight, greatest = kept
        a = self.score(torch.tanh(self.look(h)))
        new = torch.maximum(greatest, a)
        before, now = (greatest - new).exp(), (a - new).exp()
        seen, weight = seen * before + now * h, weight * before + now
        return seen / weight, (seen, weight, new)


# -- what is said ----------------------------------------------------------------------------------------------------


class Says(nn.Module):
    """Numbers as the head gives them."""

    parts: tuple[Part, ...] = ()

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, z: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """z (B, K) and what is kept to y (B, K), and what is kept then."""
        return z, ()

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        """y (K,) in words."""
        return {"y": y.tolist()}


class Probabilities(Says):
    """softmax(z) over names, those of a vocabulary without its first, which stands for what is not known.

    name  how the answer calls the most probable one
    """

    def __init__(self, names: Sequence[Any], name: str = "label", *, without_first: bool = False) -> None:
        super().__init__(len(names))
        self.names, self.name, self.without_first = list(names), name, without_first

    def forward(self, z: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.without_first:
            z = z.index_fill(1, torch.tensor([0]), -math.inf)
        return torch.softmax(z, 1), ()

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        likely = np.argsort(-y, kind="stable")[:MOST_NAMED]
        return {
            self.name: self.names[likely[0]],
            "p": {str(self.names[i]): round(float(y[i]), 6) for i in likely},
        }


class Chain(Says):
    """Scores of a chain of labels, that of the best path to each label above that of the best: Viterbi's recursion.

    a_t(k) = max_j (a_{t-1}(j) + A(j, k)) + z_t(k),   y(k) = a_t(k) + e(k) - max_k (a_t(k) + e(k))
    """

    after: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, names: Sequence[Any], after: Tensor, first: Tensor, last: Tensor) -> None:
        super().__init__(len(names))
        self.names = list(names)
        self.parts = (Part("path", (len(names),)), Part("begun", (1,)))
        for name, value in (("after", after), ("first", first), ("last", last)):
            self.register_buffer(name, value.detach())

    def forward(self, z: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        path, begun = kept
        a = torch.where(begun > 0, (path.unsqueeze(2) + self.after).amax(1), self.first) + z
        a = a - a.amax(1, keepdim=True)
        y = a + self.last
        return y - y.amax(1, keepdim=True), (a, torch.ones_like(begun))

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        return {"label": self.names[int(y.argmax())]}


class Units(Says):
    """Numbers in their own units: y = mean + scale z."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Any, scale: Any) -> None:
        mean, scale = (torch.as_tensor(v, dtype=torch.float32).reshape(-1) for v in (mean, scale))
        super().__init__(len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, z: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.mean + self.scale * z, ()

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        return {"value": float(y[0]) if len(y) == 1 else y.tolist()}


class Chances(Says):
    """The probability of each note, σ(z)."""

    def forward(self, z: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return torch.sigmoid(z), ()

    def answer(self, y: np.ndarray) -> dict[str, Any]:
        return {"notes": np.flatnonzero(y >= 0.5).tolist(), "p": y.round(6).tolist()}
