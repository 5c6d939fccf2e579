"""The versions that matter to a run, at once: nothing here imports torch, which takes seconds."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import elman


def versions() -> str:
    """elman, torch, Python and the C compiler, on one line.

    >>> versions().startswith("elman ")
    True
    """
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "not installed"
    compiler = _alone("backends/native/compiler.py").find_compiler()
    found = f"compiler {compiler}" if compiler else "no C compiler (elman cache says why)"
    return f"elman {elman.__version__}, torch {torch}, Python {platform.python_version()}, {found}"


def _alone(file: str) -> ModuleType:
    """A module of elman's without the packages around it, as `elman.backends` imports torch."""
    name = f"_elman_{Path(file).stem}_alone"
    spec = importlib.util.spec_from_file_location(name, Path(str(elman.__file__)).parent / file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
