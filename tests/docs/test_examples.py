"""The examples in README and docstrings, run as they stand, and what is promised about the package."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import elman

ROOT = Path(__file__).parents[2]
MODULES = sorted(m.name for m in pkgutil.walk_packages(elman.__path__, "elman.") if "__main__" not in m.name)


def test_the_readmes_examples():
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert found.attempted >= 12
    assert found.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says nothing about itself"
    assert doctest.testmod(module).failed == 0


def test_help_and_import_load_nothing_heavy():
    code = "import sys, elman.cli.app as a\nsys.argv = ['elman', '--help']\ntry: a.main()\nexcept SystemExit: pass\n"
    heavy = "torch numpy pandas sklearn matplotlib pydantic rich lightning_fabric"
    check = f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    code = "import sys, torch; before = set(sys.modules); import elman; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['elman']"
