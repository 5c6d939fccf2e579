"""Pictures: from a file, and as rows of numbers of one size."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.on_disk import each
from elman.data.text_file import read_bytes
from elman.errors import DataError

Array = np.ndarray


def read_picture(path: Path | str) -> Array:
    """A picture's red, green and blue, (H, W, 3) uint8; raises `DataError` for a file that is missing or broken."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{path}: pictures need the package pillow. Run: pip install pillow") from None
    data = read_bytes(Path(path), str(path))
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as problem:  # PIL's own errors are of these kinds
        reason = " ".join(str(problem).split()).partition(" <")[0]  # PIL names the object in memory
        raise DataError(f"{path}: must be a picture (png, jpeg, …), got {reason}. Mend or leave it out.") from None


@dataclass(frozen=True)
class Pictures:
    """Pictures (H, W) or (H, W, C) as rows of pixels of one size, standardised by the training data.

    size         (H, W) that all are brought to
    mean, scale  (C,) of each colour

    >>> pictures = Pictures.fit([np.zeros((4, 4, 3)), np.ones((4, 4, 3))], 4)
    >>> pictures.encode([np.ones((8, 8, 3))], "here")[0].shape, pictures.width
    (torch.Size([16, 3]), 3)
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, pictures: Sequence[Any], side: int, where: str = "Pictures") -> Pictures:
        """Means and spreads over all pixels; a picture's longer side becomes `side` pixels, by the first one's form."""
        plain = cls.plain(pictures, side, where)
        blank = cls(plain.size, plain.mean, (1.0,) * plain.width)
        encoded = blank.encode(pictures, where)
        count = len(encoded) * plain.size[0] * plain.size[1]
        mean = torch.stack([x.double().sum(0) for x in encoded]).sum(0) / count
        spread = torch.stack([((x.double() - mean) ** 2).sum(0) for x in encoded]).sum(0) / max(1, count - 1)
        return cls(plain.size, tuple(mean.tolist()), tuple(spread.sqrt().clamp(min=1e-6).tolist()))

    @classmethod
    def plain(cls, pictures: Sequence[Any], side: int, where: str = "Pictures") -> Pictures:
        """The same size, and colours as they are: in [0, 1], where whole numbers are of 255."""
        first = _pixels(pictures[0], 0, None, where)
        height, width, colours = first.shape
        size = max(1, round(side * height / max(height, width))), max(1, round(side * width / max(height, width)))
        return cls(size, (0.0,) * colours, (255.0 if first.dtype.kind in "iu" else 1.0,) * colours)

    @property
    def width(self) -> int:
        """C, the colours."""
        return len(self.mean)

    def encode(self, pictures: Sequence[Any], where: str) -> Sequence[Tensor]:
        """Each picture as (H·W, C), row after row; raises `DataError` with the number of the first that is none."""
        mean, scale = torch.tensor(self.mean), torch.tensor(self.scale)

        def encode(row: int, picture: Any) -> Tensor:
            x = torch.from_numpy(_pixels(picture, row, self.width, where)).float().permute(2, 0, 1)
            if x.shape[1:] != self.size:
                x = F.interpolate(x[None], self.size, mode="bilinear", antialias=True, align_corners=False)[0]
            return (x.flatten(1).T - mean) / scale

        return each(encode, pictures)

    def to_json(self) -> dict[str, Any]:
        """What a config file keeps."""
        return {"kind": "pictures", "size": list(self.size), "mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Pictures:
        """What `to_json` wrote."""
        return cls((kept["size"][0], kept["size"][1]), tuple(kept["mean"]), tuple(kept["scale"]))


def _pixels(picture: Any, row: int, colours: int | None, where: str) -> Array:
    a = np.asarray(picture)
    a = a[..., None] if a.ndim == 2 else a
    wanted = "C" if colours is None else colours
    if a.ndim != 3 or not a.size or a.dtype.kind not in "biuf" or (colours is not None and a.shape[2] != colours):
        raise DataError(f"{where}: picture {row} must be numbers (H, W, {wanted}), got {a.shape} of {a.dtype}.")
    if not np.isfinite(a).all():
        raise DataError(f"{where}: picture {row} must be finite, got NaN or infinity. Mend or leave it out.")
    return a
