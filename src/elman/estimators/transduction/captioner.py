"""`Captioner`: a text for each picture."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.inputs import Numbers
from elman.data.pictures import Pictures
from elman.errors import DataError, OptionError, ShapeError
from elman.estimators.base import whole
from elman.estimators.sequences.bodies import within
from elman.estimators.transduction.measures import bleu
from elman.estimators.transduction.writer import Writer


class PictureEncoder(nn.Module):
    """A picture's regions as steps to look at: blocks of a convolution, rectified units and a halving of the size.

    In training each picture is moved at random, by up to an eighth of its size, for its text stays the same.

    blocks  how often it is halved; each region is 2^blocks pixels wide
    """

    def __init__(self, pictures: Pictures, blocks: int, dropout: float, narrowest: int = 32) -> None:
        super().__init__()
        self.shape, self.dropout, self.shift = pictures.size, dropout, max(pictures.size) // 8
        sizes = [pictures.width] + [narrowest * 2**k for k in range(blocks)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.GroupNorm(8, size) for size in sizes[1:])
        self.size = sizes[-1]

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, H·W, C) to (B, regions, size), all valid."""
        y = x.transpose(1, 2).unflatten(2, self.shape)
        y = shifted(y, self.shift) if self.training else y
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            y = F.max_pool2d(torch.relu(norm(convolution(y))), 2, ceil_mode=True)
            y = F.dropout2d(y, self.dropout, self.training)
        steps = y.flatten(2).transpose(1, 2)
        return steps, within(steps, None)


def shifted(x: Tensor, most: int) -> Tensor:
    """Pictures (B, C, H, W), each moved by up to `most` pixels either way; what comes in has its edge's colour."""
    rows, _, height, width = x.shape
    by = torch.randint(-most, most + 1, (2, rows, 1), device=x.device)
    down = (torch.arange(height, device=x.device) + by[0]).clamp(0, height - 1)
    along = (torch.arange(width, device=x.device) + by[1]).clamp(0, width - 1)
    every = torch.arange(rows, device=x.device)
    return x.permute(0, 2, 3, 1)[every[:, None, None], down[:, :, None], along[:, None, :]].permute(0, 3, 1, 2)


class RegionsEncoder(nn.Module):
    """Regions that another net has described, as they are."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, S, size), and which of them are valid."""
        return x, within(x, lengths)


class GivenEncoder(nn.Module):
    """Pictures as a net of the user's describes them; a copy of it, so that the user's own stays as it is.

    learn  whether it is trained too; else it is frozen, its dropout and its batch statistics as well

    Raises `ShapeError` for a net that does not take the pictures, or gives something else than `steps_of` can read.
    """

    def __init__(self, module: nn.Module, pictures: Pictures, *, learn: bool) -> None:
        super().__init__()
        self.shape, self.learn = pictures.size, learn
        self.module = copy.deepcopy(module).cpu().requires_grad_(learn)
        blank = torch.zeros(2, pictures.width, *pictures.size)
        try:
            with torch.no_grad():
                found = self.module.eval()(blank)
        except (RuntimeError, ValueError, TypeError) as problem:
            reason = " ".join(str(problem).split())[:160]
            raise ShapeError(
                f"Captioner: encoder must take pictures {tuple(blank.shape)}, it says: {reason}. "
                "Bring them to another size: side=…"
            ) from None
        self.size = steps_of(found).shape[2]

    def train(self, mode: bool = True) -> GivenEncoder:
        """A frozen net stays as in use."""
        super().train(mode)
        self.module.train(mode and self.learn)
        return self

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, H·W, C) to (B, S, size), all valid."""
        steps = steps_of(self.module(x.transpose(1, 2).unflatten(2, self.shape)))
        return steps, within(steps, None)


def steps_of(found: Any) -> Tensor:
    """What an encoder gave as steps (B, S, F): these, or a map (B, F, H, W), or one vector of each picture (B, F).

    >>> steps_of(torch.zeros(2, 5, 3, 4)).shape, steps_of(torch.zeros(2, 5)).shape
    (torch.Size([2, 12, 5]), torch.Size([2, 1, 5]))
    """
    if not isinstance(found, Tensor) or found.dim() not in (2, 3, 4):
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ShapeError(f"Captioner: encoder must give (B, S, F), (B, F, H, W) or (B, F), got {got}. Wrap it.")
    if found.dim() == 4:
        return found.flatten(2).transpose(1, 2)
    return found if found.dim() == 3 else found.unsqueeze(1)


@dataclass(kw_only=True, eq=False, repr=False)
class Captioner(Writer):
    """A text for each picture: a small convolutional net describes its regions, a decoder that attends to them writes.

    side     pixels of the longer side that every picture is brought to
    blocks   how often the convolutional net halves the size
    encoder  a `torch.nn.Module` of your own in place of that net, from (B, C, H, W) in [0, 1] to (B, S, F),
             (B, F, H, W) or (B, F); its weights are saved, its code is not: `elman.load(folder, encoder=module)`
    train_encoder   whether it is trained too; else it is frozen

    X is pictures (H, W, C), whole numbers up to 255 or fractions up to 1, or regions (S, F) that you found in each; y
    texts. The other arguments are those of `Writer`. Raises `DataError`, `OptionError`, `ShapeError`,
    `DivergenceError`. Source: Xu et al. 2015, arXiv:1502.03044.

    >>> dark, light = np.zeros((8, 8, 3)), np.ones((8, 8, 3))
    >>> small = {"hidden_size": 16, "embedding_size": 16, "side": 8, "blocks": 1}
    >>> model = Captioner(**small, max_steps=80, learning_rate=0.01, dropout=0.0)
    >>> model.fit([dark, light] * 6, ["by night", "at noon"] * 6).predict([light])
    ['at noon']
    """

    side: int = 48
    blocks: int = 3
    encoder: nn.Module | None = None
    train_encoder: bool = False
    batch_size: int = 32
    num_beams: int = 1

    kind = "caption"
    given: ClassVar = ("encoder",)

    def score(self, X: Any, y: Any) -> float:
        """BLEU-1 of the captions, 0 to 100."""
        return bleu(list(y), self.predict(X), order=1)

    def check(self) -> None:
        for name in ("side", "blocks"):
            whole("Captioner", name, getattr(self, name))
        if self.encoder is not None and not isinstance(self.encoder, nn.Module):
            got = self.encoder.__name__ if isinstance(self.encoder, type) else type(self.encoder).__name__
            raise OptionError(f"Captioner: encoder must be a torch.nn.Module, an instance, got {got}.")
        super().check()

    def _learn_inputs(self, sequences: Sequence[Any]) -> Any:
        if np.ndim(sequences[0]) == 3:
            read = Pictures.fit if self.encoder is None else Pictures.plain
            return read(sequences, self.side, self._at("fit"))
        if self.encoder is not None:
            got = np.shape(sequences[0])
            raise DataError(f"{self._at('fit')}: the encoder needs pictures (H, W, C), got {got}. Leave it out.")
        return Numbers.fit(sequences, self._at("fit"))

    def _encoder(self) -> nn.Module:
        if self.encoder is not None:
            return GivenEncoder(self.encoder, self.inputs_, learn=self.train_encoder)
        if isinstance(self.inputs_, Pictures):
            return PictureEncoder(self.inputs_, self.blocks, self.dropout)
        return RegionsEncoder(self.inputs_.width)
