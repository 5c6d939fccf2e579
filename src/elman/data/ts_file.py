"""The `.ts` files of the UCR and UEA archives: one labelled series in each line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from elman.data.text_file import read_lines
from elman.errors import DataError


def read_ts(path: Path | str) -> tuple[list[np.ndarray], np.ndarray]:
    """Series (T_i, F), NaN where a value is missing ("?"), and the label of each: text, or numbers with @targetlabel.

    A line is `channel:channel:…:label`, a channel numbers with commas between. Raises `DataError` with the line.
    Source: Bagnall et al. 2018, arXiv:1811.00075 (the UEA archive).
    """
    path = Path(path)
    where = f"read_ts({str(path)!r})"
    head: dict[str, list[str]] = {}
    series, labels, data = [], [], False
    for number, line in enumerate(read_lines(path, where), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            name, *values = line[1:].split()
            data = name.lower() == "data"
            head[name.lower()] = values
            if name.lower() == "timestamps" and values[:1] == ["true"]:
                raise DataError(f"{where}: line {number}: series with time stamps are not read. Put them on a grid.")
            continue
        if not data:
            raise DataError(f"{where}: line {number}: expected a header line with @ before @data, got {line[:30]!r}.")
        *channels, label = line.split(":")
        if not channels:
            raise DataError(f"{where}: line {number}: expected channels and a label with : between, got none.")
        series.append(_numbers(channels, where, number))
        if series[-1].shape[1] != series[0].shape[1]:
            got, wanted = series[-1].shape[1], series[0].shape[1]
            raise DataError(f"{where}: line {number}: expected {wanted} channels like the first line, got {got}.")
        labels.append(label.strip())
    if not series:
        raise DataError(f"{where}: expected series after @data, got none. Fetch the file again.")
    known = head.get("classlabel", ["true"])[1:]
    if odd := [label for label in labels if known and label not in known]:
        raise DataError(f"{where}: label {odd[0]!r} is not among those of @classLabel: {', '.join(known)}.")
    return series, _labels(labels, "targetlabel" in head, where)


def _numbers(channels: list[str], where: str, number: int) -> np.ndarray:
    values: list[list[float]] = []
    for channel in channels:
        try:
            values.append([float("nan") if v.strip() in ("?", "NaN") else float(v) for v in channel.split(",")])
        except ValueError as problem:
            raise DataError(f"{where}: line {number}: expected numbers with commas between, {problem}.") from None
    if len({len(v) for v in values}) > 1:
        raise DataError(f"{where}: line {number}: all channels must have the same number of steps.")
    return np.array(values).T


def _labels(labels: list[str], numbers: bool, where: str) -> np.ndarray:
    if not numbers:
        return np.array(labels)
    try:
        found: Any = np.array([float(label) for label in labels])
    except ValueError as problem:
        raise DataError(f"{where}: with @targetLabel labels must be numbers, {problem}.") from None
    return found
