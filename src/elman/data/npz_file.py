"""Arrays from NumPy's .npz, and one line that says what is wrong with the file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from elman.data.text_file import read_failure
from elman.errors import DataError


def read_npz(path: Path, where: str) -> dict[str, np.ndarray]:
    """The arrays by name. Objects are not unpickled, so that nothing in the file is executed.

    Raises `DataError` for a file that is missing, damaged or not of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError as problem:
        raise read_failure(path, problem, where) from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as problem:
        reason = " ".join(str(problem).split())
        raise DataError(f"{where}: not a readable .npz of plain arrays ({reason}). Write it with np.savez.") from None
