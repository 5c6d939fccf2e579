"""A net over sequences: what reads x, what goes through time, how steps become one vector, and what is read off it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batch import Batch
from elman.data.inputs import Names, Numbers
from elman.estimators.sequences.bodies import Body, within
from elman.recurrent import Recurrent


class Front(nn.Module):
    """x as the body reads it: numbers as they are; names by a table of vectors, and by how they are spelt.

    In training a name is taken for an unknown one with probability `unknown`, so that the vector of those is learned,
    and a part of the vectors is dropped with probability `dropout`, the same at every step of a row.

    Source of the latter: Gal & Ghahramani 2016, arXiv:1512.05287.
    """

    def __init__(self, inputs: Numbers | Names, size: int, dropout: float, unknown: float) -> None:
        super().__init__()
        self.dropout, self.unknown = dropout, unknown
        self.table = self.spelling = None
        self.size = inputs.width
        if isinstance(inputs, Names):
            self.table = nn.Embedding(len(inputs), size)
            nn.init.normal_(self.table.weight, std=0.1)
            self.spelling = Spelling(len(inputs.letters) + 1) if inputs.spelling else None
            self.size = size + (self.spelling.size if self.spelling else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, size)."""
        if self.table is None:
            return x
        codes, letters = x[..., 0], x[..., 1:]
        if self.training and self.unknown:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < self.unknown, 0)
        x = self.table(codes)
        x = x if self.spelling is None else torch.cat([x, self.spelling(letters)], -1)
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.dropout, self.training)


class Spelling(nn.Module):
    """A word as a recurrent net reads its letters from both ends.

    Source: Lample et al. 2016, doi:10.18653/v1/N16-1030.
    """

    def __init__(self, letters: int, size: int = 25, hidden_size: int = 25) -> None:
        super().__init__()
        self.table = nn.Embedding(letters, size)
        self.net = Recurrent("gru", size, hidden_size, bidirectional=True)
        self.size = self.net.output_size

    def forward(self, letters: Tensor) -> Tensor:
        """(B, T, L) codes, 0 after a word's end, to (B, T, size); each word that occurs is read once."""
        words, place = letters.flatten(0, 1).unique(dim=0, return_inverse=True)
        _, state = self.net(self.table(words), lengths=(words > 0).sum(1))
        return state[0].transpose(0, 1).flatten(1)[place].unflatten(0, letters.shape[:2])


POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """Steps h_t to one vector: the body's own of the whole, or over the valid steps, with a_t = vᵀ tanh(A h_t)::

        mean: Σ h_t / T        max: max_t h_t        attention: Σ softmax(a)_t h_t

    Source: Yang et al. 2016, doi:10.18653/v1/N16-1174 (attention).
    """

    def __init__(self, kind: str, body: Body) -> None:
        super().__init__()
        self.kind, self.size = kind, body.whole if kind == "last" else body.size
        if kind == "attention":
            self.look = nn.Linear(body.size, body.size)
            self.score = nn.Linear(body.size, 1, bias=False)

    def weights(self, steps: Tensor, valid: Tensor) -> Tensor:
        """How much attention each step gets, (B, T); rows sum to 1."""
        scores = self.score(torch.tanh(self.look(steps))).squeeze(-1)
        return torch.softmax(scores.masked_fill(~valid, -torch.inf), 1)

    def forward(self, steps: Tensor, whole: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, size)."""
        if self.kind == "last":
            return whole
        valid = within(steps, lengths)
        if self.kind == "mean":
            return steps.sum(1) / valid.sum(1, keepdim=True)
        if self.kind == "max":
            return steps.masked_fill(~valid.unsqueeze(-1), -torch.inf).amax(1)
        return (self.weights(steps, valid).unsqueeze(-1) * steps).sum(1)


class Network(nn.Module):
    """Front, body and a linear head that starts at 0: every class is as likely as any other, every number the mean.

    pooling    one vector of `outputs` numbers for each sequence; None: one for each step
    criterion  (prediction, target, weight) to the mean loss
    """

    def __init__(
        self, front: Front, body: Body, pooling: str | None, outputs: int, dropout: float, criterion: Any
    ) -> None:
        super().__init__()
        self.front, self.body, self.dropout, self.criterion = front, body, dropout, criterion
        self.pooling = None if pooling is None else Pooling(pooling, body)
        self.head = nn.Linear(body.size if self.pooling is None else self.pooling.size, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, width) to (B, outputs), or (B, T, outputs) without pooling."""
        steps, whole = self.body(self.front(x), lengths)
        read = steps if self.pooling is None else self.pooling(steps, whole, lengths)
        return self.head(F.dropout(read, self.dropout, self.training))

    def attention(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The weights of a net that pools by attention, (B, T)."""
        pooling: Any = self.pooling
        steps, _ = self.body(self.front(x), lengths)
        return pooling.weights(steps, within(steps, lengths))

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The criterion's mean over the batch's targets."""
        return self.criterion(self(batch.x, batch.lengths), batch.y, batch.weight), None


class ClassLoss(nn.Module):
    """-log softmax(z)_y, weighted by class and by target: Σ w ℓ / Σ w over the targets that count.

    smoothing  share of the target that is spread over all classes. Source: Szegedy et al. 2015, arXiv:1512.00567.
    """

    def __init__(self, classes: Tensor | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("classes", classes, persistent=False)
        self.classes: Tensor | None

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """z (…, K), y (…) numbers of classes, weight (…) or None."""
        losses = F.cross_entropy(z.flatten(0, -2), y.flatten(), reduction="none", label_smoothing=self.smoothing)
        share = losses.new_ones(()) if self.classes is None else self.classes[y.flatten()]
        return _mean(losses, share if weight is None else share * weight.flatten())


class NumberLoss(nn.Module):
    """Huber's loss of standardised numbers: e²/2 up to |e| = δ, then δ(|e| - δ/2); δ = ∞ is the squared error.

    Source: Huber 1964, doi:10.1214/aoms/1177703732.
    """

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, z: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """z and y (…, K), weight like y or None."""
        size = (z - y).abs()
        cut = size.clamp(max=self.delta)
        losses = cut * (size - cut / 2)
        return _mean(losses, losses.new_ones(()) if weight is None else weight)


def _mean(losses: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(losses)
    losses = losses.masked_fill(weight == 0, 0.0)
    return (losses * weight).sum() / weight.sum().clamp(min=torch.finfo(losses.dtype).tiny)
