"""Text on disk, plain or gzipped, and one line that says what is wrong with it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from elman.errors import DataError


def read_text(path: Path, where: str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, also .gz.

    Raises `DataError` for a file that is missing, empty, damaged or of another encoding.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{where}: no such file. Check the path; it starts from {str(Path.cwd())!r}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{where}: the file cannot be read ({reason}). Check its permissions and name.") from None
    if path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{where}: the gzip data are damaged or cut short. Fetch the file again.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}: expected UTF-8 text, got byte 0x{data[error.start]:02x} in line {line}. "
            f"Convert it, from Windows for example: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.txt"
        ) from None
    if not text.strip():
        raise DataError(f"{where}: expected text, got an empty file. Check what wrote it.")
    return text


def read_lines(path: Path, where: str) -> list[str]:
    """Its lines, ended by \\n or \\r\\n alone: Python's splitlines also cuts at the next-line mark."""
    return [line.removesuffix("\r") for line in read_text(path, where).split("\n")]
