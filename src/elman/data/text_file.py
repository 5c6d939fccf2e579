"""Files on disk, plain or gzipped, and text in them: one line that says what is wrong with either."""

from __future__ import annotations

import codecs
import gzip
import shlex
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from elman.errors import DataError


def file_kind(path: Path) -> str:
    """The suffix that tells what a file holds, in small letters: in front of .gz if it ends so; "" without one.

    >>> file_kind(Path("sales.CSV")), file_kind(Path("sales.csv.gz")), file_kind(Path("sales"))
    ('.csv', '.csv', '')
    """
    suffix = path.suffix.lower()
    return (Path(path.stem).suffix.lower() or suffix) if suffix == ".gz" else suffix


def read_bytes(path: Path, where: str) -> bytes:
    """What a file holds, unpacked if its name ends in .gz.

    Raises `DataError` for a file that is missing, unreadable, damaged or empty.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as problem:
        raise read_failure(path, problem, where) from None
    if path.suffix.lower() == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise _damaged(where) from None
    if not data:
        raise _empty(where)
    return data


def _empty(where: str) -> DataError:
    return DataError(f"{where}: expected data, got an empty file. Check what wrote it.")


def _blank(where: str) -> DataError:
    return DataError(f"{where}: expected text, got blank lines only. Check what wrote the file.")


def _damaged(where: str) -> DataError:
    return DataError(f"{where}: the gzip data are damaged or cut short. Fetch the file again.")


def read_failure(path: Path, problem: Exception, where: str) -> DataError:
    """The one line for a file that cannot be read."""
    if isinstance(problem, FileNotFoundError):
        near = "" if path.parent.is_dir() else f" (there is no folder {str(path.parent)!r})"
        return DataError(f"{where}: no such file{near}. Check the path; it starts from {str(Path.cwd())!r}.")
    reason = getattr(problem, "strerror", None) or problem
    return DataError(f"{where}: the file cannot be read ({reason}). Check its permissions and name.")


def check_there(path: Path, where: str) -> None:
    """Raises `DataError` where there is no such file: whoever mistyped a suffix is not told to convert it."""
    if not path.exists():
        raise read_failure(path, FileNotFoundError(), where)


def decode(data: bytes, path: Path, where: str) -> str:
    """The text in a file's UTF-8 data, with or without a byte order mark; path: the file, for the error line.

    Raises `DataError` for another encoding, binary data, or blank lines alone.
    """
    text = _decode(data, path, where).removeprefix("\ufeff")
    if not text.strip():
        raise _blank(where)
    return text


def _decode(data: bytes, path: Path, where: str, first: int = 1) -> str:
    """The text in UTF-8 data; first: the line that they begin with."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{where}: expected UTF-8 text, got UTF-16. Convert it: {_iconv('UTF-16', path)}")
    if b"\0" in data:
        line = first - 1 + _line(data, data.index(b"\0"))
        raise DataError(f"{where}: expected text, got binary data (a zero byte in line {line}). Save it as text.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        mend = f"Convert it, from Windows for example: {_iconv('WINDOWS-1252', path)}"
        got = f"byte 0x{data[error.start]:02x} in line {first - 1 + _line(data, error.start)}"
        raise DataError(f"{where}: expected UTF-8 text, got {got}. {mend}") from None


def _iconv(encoding: str, path: Path) -> str:
    """The command that writes the file as UTF-8."""
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(path.name)} > {shlex.quote('utf8' + file_kind(path))}"


def read_lines(path: Path, where: str) -> list[str]:
    """The lines of a UTF-8 file, also .gz, ended by \\n or \\r\\n alone: splitlines also cuts at the next-line mark.

    Raises `DataError`, as `read_bytes` and `decode` do.
    """
    return [line.removesuffix("\r") for line in decode(read_bytes(path, where), path, where).split("\n")]


def stream_lines(path: Path, where: str) -> Iterator[str]:
    """The lines of a UTF-8 file, also .gz, with their ends, one at a time: for a file that memory cannot hold.

    Raises `DataError`, as `read_bytes` and `decode` do.
    """
    packed = path.suffix.lower() == ".gz"
    number, blank = 0, True
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = _decode(line, path, where, number)
                text = text.removeprefix("\ufeff") if number == 1 else text
                blank = blank and not text.strip()
                yield text
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _damaged(where) from None
    except OSError as problem:
        raise read_failure(path, problem, where) from None
    if blank:
        raise _blank(where) if number else _empty(where)


def lines_of(path: Path, where: str, *, on_disk: bool) -> Iterable[str]:
    """The lines of a UTF-8 file without their ends, all at once or one at a time; see the two above."""
    return _without_ends(stream_lines(path, where)) if on_disk else read_lines(path, where)


def _without_ends(lines: Iterable[str]) -> Iterator[str]:
    """What `split` at the ends gives, which begins a last line after the last of them."""
    line = ""
    for line in lines:
        yield line.removesuffix("\n").removesuffix("\r")
    if line.endswith("\n"):
        yield ""


def _line(data: bytes, at: int) -> int:
    """The line of a byte, from 1."""
    return data.count(b"\n", 0, at) + 1
