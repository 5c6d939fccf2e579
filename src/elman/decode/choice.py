"""Which token comes next: the options of sampling, by the names that Hugging Face gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.errors import OptionError

NEVER = -torch.inf


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How the next token is chosen from scores z (logits).

    do_sample             drawn at random; else the most probable one
    temperature           z / temperature: below 1 bolder, above 1 flatter
    top_k                 only the k most probable; 0: all
    top_p                 only the most probable that together have p (Holtzman et al. 2019, arXiv:1904.09751)
    min_p                 only those with at least min_p times the greatest probability
                          (Nguyen et al. 2024, arXiv:2407.01082)
    typical_p             only those whose surprise is nearest the entropy, together p
                          (Meister et al. 2022, arXiv:2202.00666)
    repetition_penalty    scores of tokens that occurred: divided by it where positive, else multiplied
                          (Keskar et al. 2019, arXiv:1909.05858)
    no_repeat_ngram_size  no run of so many tokens occurs twice; 0: any may

    They apply in the order: repetition, n-grams, temperature, top_k, top_p, min_p, typical_p, as in `transformers`.
    Raises `OptionError` for a value outside its range.

    >>> Choice(top_k=2).scores(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[-inf, 3.0, 2.0]]
    """

    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0

    def __post_init__(self) -> None:
        for name, low in (("temperature", 0.0), ("repetition_penalty", 0.0)):
            if not getattr(self, name) > low:
                raise OptionError(f"generate: {name} must be above 0, got {getattr(self, name)!r}. 1 changes nothing.")
        for name in ("top_p", "typical_p"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionError(
                    f"generate: {name} must be in (0, 1], got {getattr(self, name)!r}. 1 changes nothing."
                )
        if not 0 <= self.min_p <= 1:
            raise OptionError(f"generate: min_p must be in [0, 1], got {self.min_p!r}. 0 changes nothing.")
        for name in ("top_k", "no_repeat_ngram_size"):
            if getattr(self, name) < 0:
                raise OptionError(f"generate: {name} must be 0 or more, got {getattr(self, name)!r}.")

    def scores(self, z: Tensor, before: Sequence[Sequence[int]] = ()) -> Tensor:
        """(B, V) scores after all options, -inf for what may not come; before: each row's tokens so far."""
        z = z.clone()
        for row, tokens in enumerate(before):
            self._repetition(z[row], tokens)
        if not self.do_sample:
            return z
        z = z / self.temperature
        if 0 < self.top_k < z.shape[1]:
            z = z.masked_fill(z < z.topk(self.top_k, 1).values[:, -1:], NEVER)
        if self.top_p < 1:
            z = _until(z, -z, self.top_p)
        if self.min_p > 0:
            z = z.masked_fill(torch.softmax(z, 1) < self.min_p * torch.softmax(z, 1).amax(1, keepdim=True), NEVER)
        if self.typical_p < 1:
            logs = torch.log_softmax(z, 1)
            entropy = -(logs.exp() * logs).nan_to_num().sum(1, keepdim=True)
            z = _until(z, (-logs - entropy).abs(), self.typical_p)
        return z

    def next(self, z: Tensor, before: Sequence[Sequence[int]], generator: torch.Generator | None = None) -> Tensor:
        """A token for each row, (B,). It is drawn on the CPU: the same seed draws alike, wherever the scores are."""
        z = self.scores(z, before)
        if not self.do_sample:
            return z.argmax(1)
        return torch.multinomial(torch.softmax(z, 1).cpu(), 1, generator=generator).squeeze(1)

    def _repetition(self, z: Tensor, tokens: Sequence[int]) -> None:
        if self.repetition_penalty != 1 and len(tokens):
            seen = torch.tensor(sorted(set(tokens)), device=z.device)
            z[seen] = torch.where(z[seen] > 0, z[seen] / self.repetition_penalty, z[seen] * self.repetition_penalty)
        size = self.no_repeat_ngram_size
        if size and len(tokens) >= size:
            end = tuple(tokens[len(tokens) - size + 1 :])
            runs = zip(*(tokens[i:] for i in range(size)), strict=False)
            if banned := [run[-1] for run in runs if run[:-1] == end]:
                z[torch.tensor(banned, device=z.device)] = NEVER


def without_first(z: Tensor) -> Tensor:
    """Scores (B, V) with -inf for token 0, which stands for all that is not known: it can be read but not written.

    >>> without_first(torch.tensor([[1.0, 2.0]]))
    tensor([[-inf, 2.]])
    """
    return z.index_fill(1, torch.zeros(1, dtype=torch.long, device=z.device), NEVER)


def _until(z: Tensor, order: Tensor, share: float) -> Tensor:
    """Tokens in rising `order` until they have the share of the probability; the one that reaches it is still in."""
    place = order.argsort(dim=1, stable=True)
    before = torch.softmax(z, 1).gather(1, place).cumsum(1).roll(1, 1)
    before[:, 0] = 0.0
    out = torch.zeros_like(z, dtype=torch.bool).scatter(1, place, before >= share)
    return z.masked_fill(out, NEVER)
