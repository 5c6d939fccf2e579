"""The end of a panel as tensors and JSON, so that a loaded run can forecast without being given its data again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data import Panel

ROLES = ("past", "future")


def pack_panel(panel: Panel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Numbers as tensors, one after another; names and categories as JSON. Of `future` only what is past."""
    lengths = panel.lengths
    dates = panel.times[0].dtype.kind == "M"
    tensors = {
        "history.lengths": torch.from_numpy(lengths.copy()),
        "history.times": torch.from_numpy(np.concatenate(panel.times).astype(np.int64)),
        "history.y": torch.from_numpy(np.concatenate(panel.y)),
    }
    names: dict[str, Any] = {"past": {}, "future": {}, "static": {}}
    for role in ROLES:
        for name, arrays in getattr(panel, role).items():
            values = np.concatenate([a[:n] for a, n in zip(arrays, lengths, strict=True)])
            _keep(f"history.{role}.{name}", values, tensors, names[role], name)
    for name, values in panel.static.items():
        _keep(f"history.static.{name}", values, tensors, names["static"], name)
    columns = {"time": panel.time, "target": panel.target, "series": panel.series}
    return tensors, {"ids": list(panel.ids), "freq": panel.freq, "dates": dates, "columns": columns, **names}


def unpack_panel(tensors: dict[str, Tensor], kept: dict[str, Any]) -> Panel:
    """The panel that `pack_panel` took apart."""
    ends = np.cumsum(tensors["history.lengths"].numpy())[:-1]

    def cut(values: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.split(values, ends))

    def column(role: str, name: str) -> np.ndarray:
        listed = kept[role][name]
        return tensors[f"history.{role}.{name}"].numpy() if listed is None else np.array(listed, dtype=object)

    times = tensors["history.times"].numpy()
    return Panel(
        ids=tuple(kept["ids"]),
        freq=kept["freq"],
        times=cut(times.astype("datetime64[ns]") if kept["dates"] else times),
        y=cut(tensors["history.y"].numpy()),
        past={name: cut(column("past", name)) for name in kept["past"]},
        future={name: cut(column("future", name)) for name in kept["future"]},
        static={name: column("static", name) for name in kept["static"]},
        **kept["columns"],
    )


def _keep(key: str, values: np.ndarray, tensors: dict[str, Tensor], names: dict[str, Any], name: str) -> None:
    if values.dtype == object:
        names[name] = values.tolist()
    else:
        names[name] = None
        tensors[key] = torch.from_numpy(values.astype(np.float64))
