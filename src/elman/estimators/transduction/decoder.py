"""A recurrent decoder that looks at the steps of an encoder; and the two as one net."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.batch import Batch
from elman.decode import without_first
from elman.estimators.front import dropout_of_rows
from elman.estimators.losses import ClassLoss, whole_digits
from elman.estimators.transduction.attention import ATTENTIONS
from elman.recurrent import Recurrent


class State(NamedTuple):
    """Where a decoder is: the states of its layers, and what it looks at.

    below, above  states of the recurrent nets below and above the attention, parts (L, B, H)
    memory, keys  the encoder's steps (B, S, ·), and what of the attention's scores is the same for all tokens
    valid         (B, S) which of them are within their row's length
    """

    below: tuple[Tensor, ...]
    above: tuple[Tensor, ...]
    memory: Tensor
    keys: Tensor
    valid: Tensor


class AttentiveDecoder(nn.Module):
    """Reads the tokens so far and the encoder's steps, says what comes next::

        q_t = below(E y_{t-1}, q_{t-1})      a_t = softmax(s_t) over the valid steps      c_t = Σ_j a_tj m_j
        h_t = above([q_t; c_t], h_{t-1})     z_t = E (W [h_t; c_t] + b)

    The context enters above the layer that asks for it, so that while training each layer runs through all steps at
    once, and still carries what it has looked at. E both reads and scores the tokens.

    Sources: Wu et al. 2016, arXiv:1609.08144 (where the context enters); Press & Wolf 2017, arXiv:1608.05859 (E).
    """

    def __init__(
        self, tokens: int, size: int, memory: int, kind: str, *, dropout: float, hidden_size: int, **stack: Any
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.table = nn.Embedding(tokens, size)
        nn.init.normal_(self.table.weight, std=size**-0.5)
        options: Any = {"hidden_size": hidden_size, "dropout": dropout, **stack}
        self.below = Recurrent(input_size=size, **{**options, "num_layers": 1})
        self.above = Recurrent(input_size=hidden_size + memory, **options)
        self.attention = ATTENTIONS[kind](hidden_size, memory)
        self.first = nn.Linear(memory, hidden_size)
        self.read = nn.Linear(hidden_size + memory, size)
        self.bias = nn.Parameter(torch.zeros(tokens))

    def begin(self, memory: Tensor, valid: Tensor) -> State:
        """The state before the first token: to that of the layer below is added what the encoder's mean step says."""
        mean = (memory * valid.unsqueeze(-1)).sum(1) / valid.sum(1, keepdim=True)
        h, *others = self.below.initial_state(len(memory))
        below = (h + torch.tanh(self.first(mean)), *others)
        return State(below, self.above.initial_state(len(memory)), memory, self.attention.keys(memory), valid)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Tokens (B, T) after the state to what is read off (B, T, size), attention (B, T, S) and the state after."""
        x = dropout_of_rows(self.table(tokens), self.dropout, self.training)
        queries, below = self.below(x, state.below)
        scores = self.attention(queries, state.keys)
        weights = torch.softmax(scores.masked_fill(~state.valid.unsqueeze(1), -torch.inf), 2)
        context = weights @ state.memory
        both = dropout_of_rows(torch.cat([queries, context], 2), self.dropout, self.training)
        h, above = self.above(both, state.above)
        read = self.read(dropout_of_rows(torch.cat([h, context], 2), self.dropout, self.training))
        return read, weights, state._replace(below=below, above=above)

    def scores(self, read: Tensor) -> Tensor:
        """(…, size) to the scores of all tokens, (…, tokens)."""
        return whole_digits(F.linear(read, self.table.weight, self.bias), self.table)


class Transducer(nn.Module):
    """Encoder and decoder: x in, the distribution of the next token given those so far out.

    encoder   x and lengths to the steps to look at, (B, S, memory), and which of them are valid, (B, S)
    end       the token that ends a sequence, and from which each begins
    sampling  share of the tokens so far that in training are the net's own guesses: it reads the true ones first, and
              then a mixture, both at once over all steps (Mihaylova & Martins 2019, arXiv:1906.07651)

    unknown   whether `step` may give the unknown word, 0
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: AttentiveDecoder,
        end: int,
        *,
        sampling: float = 0.0,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.end, self.sampling = encoder, decoder, end, sampling
        self.unknown = True
        self.criterion = ClassLoss(smoothing=smoothing)

    def begin(self, x: Tensor, lengths: Tensor | None) -> State:
        """The decoder's state before the first token."""
        return self.decoder.begin(*self.encoder(x, lengths))

    def before(self, y: Tensor) -> Tensor:
        """The token before each of y (B, T): what the decoder reads."""
        return torch.cat([torch.full_like(y[:, :1], self.end), y[:, :-1]], 1)

    def loss(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """The mean -log p of the batch's tokens, each given the true ones before it."""
        start, tokens = self.begin(batch.x, batch.lengths), self.before(batch.y)
        if self.training and self.sampling:
            with torch.no_grad():
                guessed = self.before(self.decoder.scores(self.decoder(tokens, start)[0]).argmax(-1))
            tokens = torch.where(torch.rand(tokens.shape, device=tokens.device) < self.sampling, guessed, tokens)
        read, _, _ = self.decoder(tokens, start)
        counted = batch.weight > 0 if batch.weight is not None else torch.ones_like(batch.y, dtype=torch.bool)
        return self.criterion(self.decoder.scores(read[counted]), batch.y[counted], None), None

    def attend(self, y: Tensor, state: State) -> Tensor:
        """Where the decoder looks while it gives the tokens y (B, T), (B, T, S); rows sum to 1."""
        return self.decoder(self.before(y), state)[1]

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One token of each row, (B,), and the state before it, to scores (B, tokens) and the state after."""
        read, _, state = self.decoder(tokens.to(state.memory.device).unsqueeze(1), state)
        z = self.decoder.scores(read[:, 0])
        return (z if self.unknown else without_first(z)), state

    def select(self, state: State, rows: Tensor) -> State:
        """The state of these rows."""
        below, above = (tuple(part[:, rows] for part in parts) for parts in (state.below, state.above))
        return State(below, above, state.memory[rows], state.keys[rows], state.valid[rows])
