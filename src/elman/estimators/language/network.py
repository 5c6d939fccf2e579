"""A net that reads a token, or a frame of notes, and says what the next one will be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batch import Batch
from elman.decode import without_first
from elman.estimators.language.bodies import BODIES
from elman.estimators.losses import whole_digits


class LanguageNetwork(nn.Module):
    """Vectors of tokens, a recurrent stack, scores of the next token; or frames of 0 and 1 in, scores of each note out.

    tokens     how many there are; 0: frames
    size       parts of a token's vector, or notes of a frame
    body       what carries the past, of `BODIES`

    The state that the body carries is the model's: `loss` takes and gives it, `step` goes on from it.
    """

    def __init__(self, tokens: int, size: int, *, body: str, dropout: float, **stack: Any) -> None:
        super().__init__()
        self.tokens, self.dropout = tokens, dropout
        self.table = nn.Embedding(tokens, size) if tokens else None
        self.body = BODIES[body](input_size=size, dropout=dropout, **stack)
        self.head = nn.Linear(self.body.output_size, tokens or size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def begin_at(self, p: Tensor) -> None:
        """Lets an untrained net say what is known beforehand: the probability of each token, or of each note, (n,)."""
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(p) if self.table is None else p.log())

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """x (B, T, 1) codes or (B, T, notes) to scores (B, T, tokens or notes) and the state after."""
        # A frame is read whole: most notes go on from it, and one that is left out would be a lie about it.
        read = x if self.table is None else F.dropout(self.table(x[..., 0]), self.dropout, self.training)
        y, state = self.body(read, state, lengths)
        return whole_digits(self.head(F.dropout(y, self.dropout, self.training)), self.head), state

    def losses(self, z: Tensor, y: Tensor) -> Tensor:
        """-log p of each target, in nats: (B, T) for y (B, T) codes or (B, T, notes)."""
        if self.table is None:
            return F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(-1)
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """The mean -log p of a window's targets; rows that begin anew forget the state."""
        if state is not None and batch.reset is not None:
            first = self.body.initial_state(len(batch))
            state = tuple(torch.where(batch.reset[:, None], a, b) for a, b in zip(first, state, strict=True))
        z, state = self(batch.x, state, batch.lengths)
        weight = torch.ones(z.shape[:2], device=z.device) if batch.weight is None else batch.weight
        weight = weight.flatten(2).amax(2) if weight.dim() == 3 else weight
        return (self.losses(z, batch.y) * weight).sum() / weight.sum().clamp(min=1), state

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """A token (B,) or frame (B, notes) of each row and the state before it, to scores (B, …) and the state after.

        That of token 0 is -inf: it stands for all that is not known, and can be read but not written.
        """
        x = tokens[:, None] if self.table is None else tokens.view(-1, 1, 1)
        z, state = self(x.to(self.head.weight.device), state)
        return (z[:, 0] if self.table is None else without_first(z[:, 0])), state

    def select(self, state: Any, rows: Tensor) -> Any:
        """The state of these rows."""
        return tuple(part[:, rows] for part in state)
