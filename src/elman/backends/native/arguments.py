"""What Python hands to C: one struct of 8-byte fields, its C declaration and its bytes both made from `FIELDS`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from torch import Tensor

NUMBER, READ, WRITE, ROWS, CODE, SIZE = "long", "const real *", "real *", "const int64_t *", "OpenMP *", "TeamSize *"
# Name, C type, and whether there is one for each state of the cell.
FIELDS: tuple[tuple[str, str, bool], ...] = (
    *((name, NUMBER, False) for name in ("steps", "rows", "inputs", "x_step", "units", "padded", "total", "segment")),
    *((name, NUMBER, False) for name in ("threads", "parts", "crew", "reverse", "zone_step")),
    ("openmp", CODE, False),
    ("team_size", SIZE, False),
    *((name, ROWS, False) for name in ("sizes", "offsets", "cuts")),
    *((name, READ, False) for name in ("x", "pre", "W", "R", "b", "b_r", "gain", "gain_x", "params", "drop", "d_y")),
    *((name, WRITE, False) for name in ("z", "zr", "zn", "begins", "h_before", "d_x", "d_W", "d_R", "d_shared")),
    ("scratch", "void *", False),
    *((name, WRITE, True) for name in ("state", "kept", "d_state")),
    *((name, READ, True) for name in ("first", "zone")),
)


def struct() -> str:
    """The declaration of `Args`."""
    lines = [f"    {kind} {name}{'[STATES]' if each else ''};".replace("* ", "*") for name, kind, each in FIELDS]
    openmp = "typedef void OpenMP(void (*)(void *), void *, unsigned, unsigned);\ntypedef int TeamSize(void);"
    return "\n".join([openmp, "typedef struct {", *lines, "} Args;\n"])


class Arguments:
    """Where each field of `Args` lies for a cell with so many states."""

    def __init__(self, states: int) -> None:
        self.place: dict[str, int] = {}
        self.size = 0
        for name, _, each in FIELDS:
            self.place[name] = self.size
            self.size += states if each else 1

    def fill(self, given: Mapping[str, Any]) -> ctypes.Array[ctypes.c_int64]:
        """The bytes of an `Args`; what is not given is 0. A tensor stands for the address of its numbers."""
        args = (ctypes.c_int64 * self.size)()
        for name, value in given.items():
            if value is None:
                continue
            at = self.place[name]
            if isinstance(value, Tensor):
                args[at] = value.data_ptr()
            elif isinstance(value, list):
                for state, part in enumerate(value):
                    if part is not None:
                        args[at + state] = part.data_ptr()
            else:
                args[at] = value
        return args
