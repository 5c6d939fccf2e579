"""The machine's C compiler: found once per process, asked what it can do, run to build a shared library."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from elman.errors import CompileError

# -ffast-math would give up NaN and infinity; -fopenmp would bring a second thread pool beside torch's.
FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-shared")
MATH = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-pthread")
# The first that the compiler takes. Older Apple and ARM compilers know the second only, some neither.
NATIVE = (("-march=native",), ("-mcpu=native",), ())
WIDTHS = {"__AVX512F__": 64, "__AVX__": 32}  # predefined macro → bytes in a vector; the rest of the world has 16
WHEEL = ("-m", "ziglang")
ASKING, BUILDING = 30.0, 300.0  # seconds until a compiler is given up, waking from a cold network disk included
ERROR_LINES = 3
CPU_LINES = re.compile(
    r"(vendor_id|cpu family|model|model name|stepping|flags|Features|isa|uarch"
    r"|CPU (?:implementer|architecture|variant|part|revision))\s*: *(.*)"
)
REMEDY = "install one (such as apt install gcc, or xcode-select --install) or pip install ziglang"


class NoCompilerWarning(UserWarning):
    """There is no C compiler, so the slower eager backend runs; the message says how to get one."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler that runs here, and what it makes of this machine.

    command       program and first arguments, the program with its whole path
    version       the first line that `--version` prints
    flags         what every build is given
    vector_bytes  width of the widest vectors that it uses with these flags: 64, 32 or 16
    target        digest of all that it predefines with these flags: architecture and instruction sets
    """

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...]
    vector_bytes: int = 16
    target: str = ""

    def build(self, source_file: Path, library_file: Path, *, store: Path | None = None) -> None:
        """Compiles `source_file` into the shared library `library_file`; their folder takes the compiler's own files.

        `store` is a folder where a compiler that keeps things from build to build (zig) may keep them.

        Raises CompileError with the compiler's first error lines, or when it does not end.

        >>> compiler = find_compiler()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source = Path(folder, "one.c")
        ...     _ = source.write_text("int one(void) { return 1; }")
        ...     if compiler is not None:
        ...         compiler.build(source, Path(folder, "one.so"))
        """
        # Plain names, run in their folder: a path that is different every time would get into the library.
        output = os.path.relpath(library_file.absolute(), source_file.absolute().parent)
        command = [*self.command, *self.flags, source_file.name, "-o", output, "-lm"]
        shown = f"{self} ({shlex.join(self.command)})"
        mend = "Set CC to another compiler, or use backend='eager'."
        try:
            code, _, said = _run(command, source_file.parent, BUILDING, store=store)
        except OSError as problem:
            raise CompileError(f"{shown}: expected to run, got {problem.strerror or problem}. {mend}") from problem
        except subprocess.TimeoutExpired as problem:
            raise CompileError(
                f"{shown}: expected {source_file.name} to compile within {BUILDING:.0f} s, it did not. {mend}"
            ) from problem
        if code or not library_file.is_file():
            got = _first_errors(said) or f"exit status {code} without a word"
            raise CompileError(f"{shown}: expected to compile {source_file.name}, got {got}. {mend}")

    def identity(self) -> tuple[str, ...]:
        """All that a library depends on besides its source and this machine."""
        # The wheel is the same by whichever name Python was started; its version has the wheel's in it.
        command = self.command[1:] if self.command[1:3] == WHEEL else self.command
        return (*command, "", self.version, *self.flags, "", self.target)

    def __str__(self) -> str:
        return self.version


def find_compiler() -> Compiler | None:
    """The compiler named by $CC, else cc, gcc or clang on the PATH, else the ziglang wheel; None without any.

    One that does not run here, or compiles for another machine, is passed over. The first call of a process costs
    some 15 ms (zig: 100 ms), any other nothing.

    >>> compiler = find_compiler()
    >>> compiler is None or compiler.vector_bytes in (16, 32, 64)
    True
    """
    return _search(os.environ.get("CC", ""), os.environ.get("PATH", ""))[0]


def passed_over() -> tuple[str, ...]:
    """One clause for each compiler that came before the one found and is of no use here, with the reason."""
    return _search(os.environ.get("CC", ""), os.environ.get("PATH", ""))[1]


def no_compiler_reason() -> str:
    """Why there is no compiler and how to get one, in a clause that follows "because"; "" when there is one."""
    if find_compiler() is not None:
        return ""
    details = "".join(f"; {reason}" for reason in passed_over())
    return f"no C compiler was found (looked for $CC, cc, gcc, clang, ziglang{details}): {REMEDY}"


@functools.cache
def cpu_name() -> str:
    """What this processor is and can do: code compiled with -march=native for another name may crash here.

    >>> platform.machine() in cpu_name()
    True
    """
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""  # not Linux
    # A set, as processors repeat themselves, and sorted, as ARM machines that mix two kinds list them in any order.
    lines = sorted(
        {f"{found[1]}: {found[2].strip()}" for found in map(CPU_LINES.fullmatch, text.splitlines()) if found}
    )
    return "\n".join([platform.machine(), *(lines or [platform.processor()])])


@functools.lru_cache(maxsize=8)
def _search(cc: str, path: str) -> tuple[Compiler | None, tuple[str, ...]]:
    """The first candidate that works, and why each before it did not. The arguments are what the answer depends on."""
    if os.name != "posix":
        return None, ("libraries are built on Linux and macOS only",)
    useless: list[str] = []
    for name, command in _candidates(cc, path, useless):
        try:
            with tempfile.TemporaryDirectory(prefix="elman-", ignore_cleanup_errors=True) as scratch:
                return _asked(command, Path(scratch)), tuple(useless)
        except (OSError, subprocess.TimeoutExpired, CompileError) as problem:
            useless.append(f"{name} was passed over: {problem}")
    return None, tuple(useless)


def _candidates(cc: str, path: str, useless: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Name and command of each compiler that exists."""
    wanted: list[tuple[str, list[str]]] = [(name, [name]) for name in ("cc", "gcc", "clang")]
    if cc.strip():
        try:
            wanted.insert(0, (f"$CC ({cc})", shlex.split(cc)))
        except ValueError as problem:
            useless.append(f"$CC ({cc}) was passed over: {problem}")
    found: dict[str, tuple[str, ...]] = {}
    for name, (program, *arguments) in wanted:
        place = shutil.which(os.path.expanduser(program), path=path)  # noqa: PTH111 - a bare name must stay bare
        if place is not None:
            found[name] = (os.path.abspath(place), *arguments)  # noqa: PTH100 - zig and ccache go by the link's name
        elif name.startswith("$CC"):
            useless.append(f"{name} was passed over: there is no {program}")
    if importlib.util.find_spec("ziglang") is not None and sys.executable:
        found["ziglang"] = (sys.executable, *WHEEL, "cc")
    return list(found.items())


def _asked(command: tuple[str, ...], scratch: Path) -> Compiler:
    """The compiler behind `command`; raises CompileError, OSError or TimeoutExpired when it is of no use here."""
    code, said, complaint = _run([*command, "--version"], scratch, ASKING)
    if code or not said.strip():
        raise CompileError(f"--version ends with status {code} {_first_errors(complaint)}".strip())
    version = said.strip().splitlines()[0]
    if command[1:3] == WHEEL:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version += f" (ziglang {importlib.metadata.version('ziglang')})"  # the line names only the clang inside
    # Asked with the headers, as a bare `apt install --no-install-recommends gcc` comes without them.
    (scratch / "probe.c").write_text("#include <math.h>\n#include <pthread.h>\n#include <stdint.h>\n")
    flags, macros = (), ""
    for native in NATIVE:
        flags = (*FLAGS, *native, *MATH)
        code, macros, complaint = _run([*command, *flags, "-dM", "-E", "probe.c"], scratch, ASKING)
        if not code:
            break
    else:
        raise CompileError(f"it cannot be used: {_first_errors(complaint)}")
    defined = dict(line.split(maxsplit=2)[1:] for line in macros.splitlines() if len(line.split(maxsplit=2)) == 3)
    machine = {"x86_64": "__x86_64__", "aarch64": "__aarch64__", "arm64": "__aarch64__"}.get(platform.machine())
    pointer = struct.calcsize("P")
    if (machine and machine not in defined) or defined.get("__SIZEOF_POINTER__") != str(pointer):
        raise CompileError(f"it does not compile for {platform.machine()} with {8 * pointer} bits")
    width = next((width for macro, width in WIDTHS.items() if macro in defined), 16)
    return Compiler(command, version, flags, width, hashlib.sha256(macros.encode()).hexdigest())


def _run(command: list[str], folder: Path, seconds: float, *, store: Path | None = None) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command in `folder`, where it also keeps its own temporary files."""
    own = {"TMPDIR": str(folder.absolute()), "ZIG_LOCAL_CACHE_DIR": str(folder.absolute()), "LC_ALL": "C"}
    # Without a home that can be written zig never ends.
    kept = {"ZIG_GLOBAL_CACHE_DIR": str((store or folder).absolute())}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, **os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a compiler starts others; stopped on the way, all of them must go
    ) as process:
        try:
            out, complaint = process.communicate(timeout=seconds)
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, complaint


def _first_errors(said: str) -> str:
    """The lines that say what is wrong, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wrong = [line for line in lines if re.search(r"\b(error|fatal|undefined|cannot|No space)\b", line)]
    return "; ".join((wrong or lines)[:ERROR_LINES]).rstrip(".")
