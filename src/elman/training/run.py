"""The folder that a run leaves: weights, configuration, metrics, and a manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from elman.errors import RunError
from elman.files import leads, remove, write_atomic, write_failure
from elman.training import checkpoint
from elman.training.tensors import pack, unpack

FORMAT = "elman-run"
VERSION = 1
MODEL, CONFIG, METRICS, MANIFEST = "model.safetensors", "config.json", "metrics.jsonl", "manifest.json"
VOUCHED = (MODEL, CONFIG)
"""the files whose hashes the manifest holds: what decides a prediction"""
UPGRADE = "Upgrade it: pip install --upgrade elman."
RETRAIN = "Copy the folder anew from its source, or train again."


class RunConfig(BaseModel):
    """`config.json`: which estimator to build, and how. Written by `RunFolder.save_model`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["elman-run"] = FORMAT
    version: int = VERSION
    estimator: str
    """name of the estimator's class"""
    params: dict[str, Any]
    """its constructor's arguments"""
    state: dict[str, Any]
    """what it learned besides weights: scales, categories, column names"""


class RunFolder:
    """A folder with `model.safetensors`, `config.json`, `metrics.jsonl`, `manifest.json` and what is written beside.

    Every file is replaced in one instant. Nothing in a folder is ever executed: weights are safetensors, the rest JSON.
    Of the processes that `torchrun` started the first alone writes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder(Path(folder, "run")).create()
    ...     run.save_model({"w": torch.ones(2)}, {"estimator": "Forecaster", "params": {"horizon": 3}, "state": {}})
    ...     config, weights = RunFolder(Path(folder, "run")).load_model()
    >>> config["params"], weights["w"]
    ({'horizon': 3}, tensor([1., 1.]))
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def create(self, *, resume: bool = False, command: list[str] | None = None) -> RunFolder:
        """Makes the folder ready for a run and writes down what runs, on what, since when.

        `command` is the command line (that of this process). Raises RunError when the folder holds anything else than a
        run, or a run and `resume` is not set.
        """
        manifest: dict[str, Any] = {}
        if not leads():
            return self
        if self.path.exists():
            manifest = self._own(resume)
        else:
            try:
                self.path.mkdir(parents=True)
            except OSError as problem:
                raise write_failure(self.path, problem) from problem
        if not manifest:
            manifest = {"format": FORMAT, "version": VERSION, "started": _now(), "resumed": []}
        elif (self.path / checkpoint.NAME).exists():
            manifest["resumed"] = [*manifest.get("resumed", []), _now()]
        self._write_manifest(manifest | _machine() | {"command": sys.argv if command is None else command})
        return self

    def _own(self, resume: bool) -> dict[str, Any]:
        """The manifest of a folder that exists, {} for an empty one; RunError when it must not be touched."""
        if not self.path.is_dir():
            raise RunError(f"{self.path}: must be a folder for the run, got a file. Choose another name.")
        # What a kill before the first manifest leaves behind is nobody's.
        names = sorted(p.name for p in self.path.iterdir() if not p.name.endswith(".partial"))
        if not names:
            return {}
        if MANIFEST not in names:
            raise RunError(
                f"{self.path}: must be empty or an elman run, got {', '.join(names[:3])}"
                f"{', …' if len(names) > 3 else ''}. Choose another folder."
            )
        manifest = self.manifest()
        if not resume:
            what = "a finished run" if "finished" in manifest else "an unfinished run"
            raise RunError(f"{self.path}: holds {what}. Resume it (resume=True), or choose another name.")
        return manifest

    @property
    def finished(self) -> bool:
        """Whether a model was saved here; what is left to do for a run that was killed."""
        return (self.path / MANIFEST).is_file() and "finished" in self.manifest()

    def save_model(
        self,
        state_dict: Mapping[str, Tensor],
        config: Mapping[str, Any],
        *,
        seeds: Mapping[str, int] | None = None,
        data_hash: str | None = None,
    ) -> None:
        """Writes weights and configuration, then the manifest that vouches for both, and drops the checkpoint.

        `config` has `estimator`, `params` and `state`, all JSON. Raises RunError when it is not, or the disk is full.
        """
        try:
            envelope = RunConfig(**config)
            text = json.dumps(envelope.model_dump(), indent=2, ensure_ascii=False, allow_nan=False)
        except (ValidationError, TypeError, ValueError) as problem:
            reason = " ".join(str(problem).split())
            raise RunError(
                f"{self.path / CONFIG}: config must be JSON with estimator, params, state: {reason}"
            ) from None
        if not leads():
            return
        content = {MODEL: pack(state_dict, {}), CONFIG: text.encode()}
        for name, data in content.items():
            write_atomic(self.path / name, data)
        known = {"seeds": dict(seeds or {}), "data_sha256": data_hash, "finished": _now()}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        self._write_manifest(self.manifest() | known | {"sha256": hashes})
        remove(self.path / checkpoint.NAME)  # only now is there nothing left to resume

    def load_model(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The configuration and the weights, on the CPU; RunError when anything is missing, altered or foreign."""
        if not self.path.is_dir():
            raise RunError(f"{self.path}: no such run folder. Check the name.")
        manifest = self.manifest()
        if "finished" not in manifest:
            raise RunError(f"{self.path}: the run is not finished and has no model yet. Resume it (--resume).")
        content = {name: self._vouched(name, manifest) for name in VOUCHED}
        weights, _ = unpack(self.path / MODEL, content[MODEL], RETRAIN)
        return self._config(content[CONFIG]), weights

    def manifest(self) -> dict[str, Any]:
        """The manifest as JSON; RunError when there is none or it is not elman's."""
        path = self.path / MANIFEST
        manifest = _parse(path, _read(path))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise RunError(f"{path}: not the manifest of an elman run. Check the folder's name.")
        _check_version(path, manifest.get("version"))
        return manifest

    def write_text(self, name: str, text: str) -> None:
        """Writes a file beside the model, such as `report.html` or `card.md`."""
        if Path(name).name != name or name in (*VOUCHED, METRICS, MANIFEST, checkpoint.NAME):
            raise RunError(
                f"{self.path}: write_text takes a plain name that is not one of the run's own, got {name!r}."
            )
        if leads():
            write_atomic(self.path / name, text.encode())

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        write_atomic(self.path / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False).encode())

    def _vouched(self, name: str, manifest: dict[str, Any]) -> bytes:
        """A file's bytes, read once: the very bytes whose hash was compared are those that are used."""
        content = _read(self.path / name)
        hashes = manifest.get("sha256")
        expected = hashes.get(name) if isinstance(hashes, dict) else None
        if hashlib.sha256(content).hexdigest() != expected:
            raise RunError(
                f"{self.path / name}: does not match its hash in {MANIFEST}; it was truncated or altered. {RETRAIN}"
            )
        return content

    def _config(self, content: bytes) -> dict[str, Any]:
        path = self.path / CONFIG
        raw = _parse(path, content)
        _check_version(path, raw.get("version") if isinstance(raw, dict) else None)
        try:
            return RunConfig.model_validate(raw).model_dump()
        except ValidationError as problem:
            finding = problem.errors()[0]
            where = ".".join(map(str, finding["loc"])) or "it"
            raise RunError(f"{path}: not an elman configuration, {where}: {finding['msg']}. {RETRAIN}") from None


def _check_version(path: Path, found: Any) -> None:
    if not isinstance(found, int):
        raise RunError(f"{path}: not a file of an elman run, it has no version. Check the folder's name.")
    if found > VERSION:
        raise RunError(f"{path}: format version {found}, this elman reads up to {VERSION}. {UPGRADE}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        reason = "missing" if isinstance(problem, FileNotFoundError) else problem.strerror
        raise RunError(
            f"{path}: {reason}; not a whole elman run folder. Check the name, or {RETRAIN.lower()}"
        ) from None


def _parse(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as problem:
        raise RunError(f"{path}: not JSON ({problem}); truncated or altered. {RETRAIN}") from None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _machine() -> dict[str, Any]:
    """What a reader needs to repeat the run, apart from the data."""
    try:
        elman = version("elman")
    except PackageNotFoundError:
        elman = "not installed"
    return {
        "versions": {
            "elman": elman,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }
