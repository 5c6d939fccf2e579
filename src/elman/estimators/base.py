"""What every estimator shares: scikit-learn's conventions, training into a run folder, and coming back out of one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

from elman.cells import Cell, find_cell, name_of
from elman.data.batch import Batches
from elman.errors import ElmanError, OptionError, RunError, UnknownNameError, suggest
from elman.graph import trace
from elman.recurrent import Recurrent
from elman.steps import Causal, Pipeline, Stream
from elman.training.history import History
from elman.training.loop import fit
from elman.training.progress import Progress
from elman.training.run import RunFolder
from elman.training.settings import TrainingSettings

ESTIMATORS: dict[str, type[Estimator]] = {}

Kind = TypeVar("Kind")


class NotYetFittedError(ElmanError, NotFittedError):
    """An estimator was asked to predict before `fit`."""


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(BaseEstimator):
    """A recurrent net for one problem shape: `fit`, `predict`, `save`, and `elman.load` to have it back.

    cell          name in `elman.CATALOGUE`, or your own `Cell`
    hidden_size, num_layers, dropout, layer_norm, zoneout, recurrent_dropout, residual, forget_bias, heads,
    learn_initial_state, checkpoint, backend   of the `Recurrent`
    max_steps, batch_size, optimizer, learning_rate, weight_decay, warmup, average, clip_norm, patience, validate_every,
    precision, accelerator   of the training: see `TrainingSettings`
    random_state  an int gives the same net again

    A subclass is a dataclass too: its fields are its arguments, unchanged, as scikit-learn asks. In `fit` it sets what
    `_state` (JSON) and `_tensors` give back besides the weights, and in `_restore` it rebuilds `network_` from both.

    network_  the trained net
    history_  `History` of the training
    seed_     the seed that was used
    """

    cell: Any = "lstm"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.0
    layer_norm: bool = False
    zoneout: float = 0.0
    recurrent_dropout: float = 0.0
    residual: bool = False
    forget_bias: float | None = None
    heads: int = 1
    learn_initial_state: bool = False
    checkpoint: Literal["auto"] | int | None = None
    backend: str = "auto"
    max_steps: int | None = None
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    warmup: int | float = 0.1
    average: float | None = 0.99
    clip_norm: float | None = 1.0
    patience: int | None = None
    validate_every: int | None = None
    precision: str = "32-true"
    accelerator: str = "auto"
    random_state: Any = 0

    network_: Any = field(init=False)
    history_: History = field(init=False)
    seed_: int = field(init=False)
    hash_: str | None = field(init=False)

    trainer: ClassVar[Callable[..., History]] = staticmethod(fit)  # what learns the weights
    given: ClassVar[tuple[str, ...]] = ()  # arguments that are modules of the user's, which no run folder holds

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ESTIMATORS[cls.__name__] = cls

    def save(self, folder: Path | str) -> None:
        """Writes the fitted estimator as a run folder; raises `RunError` when one is there already.

        Of processes that train together, whose nets are the same, the first writes.
        """
        self._write(RunFolder(folder).create())

    def pipeline(self) -> Pipeline:
        """The parts that answer a sequence, for streams and exports.

        Raises `OptionError`, with the reason, for a model that has no such parts.
        """
        raise OptionError(
            f"{type(self).__name__}: it is more than a recurrent stack and a head, and cannot be exported."
        )

    def causal(self) -> Causal:
        """One step of the fitted model, by which it answers while a sequence comes.

        Raises `OptionError`, with the reason, for a model that needs the whole sequence.
        """
        return self.pipeline().step()

    def stream(self, state: Any = None) -> Stream:
        """A `Stream` over one sequence that is still coming: push a step, read the answer.

        state  where to start, what `state` of another stream gave; None: the beginning

        Raises `OptionError`, with the reason, for a model that needs the whole sequence.
        """
        self._check_fitted()
        return Stream(self.causal(), state)

    def stack(self) -> dict[str, Any]:
        """The arguments that are the `Recurrent` stack's."""
        own = inspect.signature(Recurrent).parameters
        return {name: getattr(self, name) for name in Estimator.__dataclass_fields__ if name in own}

    def settings(self, steps: int | None, seed: int = 0) -> TrainingSettings:
        """The training's settings, for so many steps."""
        chosen = {name: getattr(self, name) for name in TrainingSettings.model_fields if hasattr(self, name)}
        return TrainingSettings(**chosen | {"max_epochs": None, "max_steps": steps, "seed": seed})

    def check_common(self) -> None:
        """Raises what `Recurrent` and `TrainingSettings` would raise for the arguments that all estimators share."""
        seeded(0, lambda: Recurrent(input_size=1, device="meta", **self.stack()))
        self.settings(1 if self.max_steps is None else self.max_steps, seed_of(self.random_state))

    def _train(
        self,
        network: nn.Module,
        train: Batches,
        validation: Batches | None,
        steps: int,
        folder: Path | str | None,
        resume: bool,
        progress: Progress | None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Trains into a folder, or in memory alone, and keeps what came of it; a finished run is taken as it is.

        then: learns from the trained net what else is to be kept, before anything is written.
        """
        run = None if folder is None else RunFolder(folder)
        if run is not None and resume and run.finished:
            self._take(run)
            then()
            return
        if run is not None:
            run.create(resume=resume)
        where = None if run is None else run.path
        self.network_ = network
        self.history_ = self.trainer(
            network,
            train,
            settings=self.settings(steps, self.seed_),
            validation=validation,
            folder=where,
            resume=resume and where is not None,
            progress=progress,
        )
        then()
        if run is not None:
            self._write(run)

    def _take(self, run: RunFolder) -> None:
        """What a finished run holds, if it is of this estimator and this data."""
        own = ("cell",) if isinstance(self.cell, Cell) else ()
        found = load(run.path, **{name: getattr(self, name) for name in (*self.given, *own)})
        cells = {trace(find_cell(e.cell, str(run.path))).fingerprint for e in (self, found)}
        same = (
            len(cells) == 1 and self._params() == found._params() and self._hash() == run.manifest().get("data_sha256")
        )
        if type(found) is not type(self) or not same:
            raise RunError(f"{run.path}: holds a finished run of other options or data. Choose another folder.")
        self.network_, self.history_ = found.network_, found.history_

    def _params(self) -> dict[str, Any]:
        """The constructor's arguments as JSON gives them back."""
        params = self.get_params(deep=False)
        named = params | {"cell": name_of(find_cell(params["cell"], type(self).__name__))}
        return json.loads(json.dumps(named, default=_as_json))

    def _write(self, run: RunFolder) -> None:
        """Saves weights and configuration into a folder that is ready."""
        self._check_fitted()
        cell = find_cell(self.get_params(deep=False)["cell"], type(self).__name__)
        state = {"cell": trace(cell).fingerprint, "seed": self.seed_, **self._state()}
        config = {"estimator": type(self).__name__, "params": self._params(), "state": json.loads(json.dumps(state))}
        tensors = {f"network.{name}": t for name, t in self.network_.state_dict().items()} | self._tensors()
        run.save_model(tensors, config, seeds={"random_state": self.seed_}, data_hash=self._hash())

    @classmethod
    def _load(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], where: str, given: Mapping[str, Any]
    ) -> Estimator:
        try:
            return cls._rebuild(config, tensors, where, given)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as problem:
            if isinstance(problem, ElmanError):
                raise
            reason = " ".join(str(problem).split())[:200]
            raise RunError(f"{where}: weights and configuration do not fit together: {reason}. Train again.") from None

    @classmethod
    def _rebuild(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], where: str, given: Mapping[str, Any]
    ) -> Estimator:
        params: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["params"].items()}
        modules = {name: module for name, module in given.items() if name != "cell"}
        params |= cls._take_given(params, modules, where) | {"cell": given.get("cell", params["cell"])}
        found = cls(**params)
        state = dict(config["state"])
        try:
            cell = find_cell(params["cell"], where)
        except UnknownNameError as problem:
            raise UnknownNameError(
                f"{problem} If it is your own, define it first; of the command, --cells FILE."
            ) from None
        if trace(cell).fingerprint != state["cell"]:
            name = name_of(cell)
            raise RunError(
                f"{where}: the cell {name!r} is not the one that was trained, its mathematics differ. Define it as it "
                f"was; if its class was given arguments, give them again: load(folder, cell={name}(…))."
            )
        found.seed_ = state["seed"]
        weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        found._restore(state, tensors)
        found.network_.load_state_dict(weights)
        found.network_.eval()
        found.history_ = History.read(Path(where))
        found.hash_ = RunFolder(where).manifest().get("data_sha256")
        return found

    @classmethod
    def _take_given(cls, params: Mapping[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The user's modules, which must be of the classes that the folder names."""
        if odd := sorted(set(given) - set(cls.given)):
            raise OptionError(f"{where}: a {cls.__name__} is loaded without {odd[0]!r}. Leave it out.")
        for name in cls.given:
            kept, mine = params.get(name), given.get(name)
            got = None if mine is None else type(mine).__name__
            if kept != got:
                mend = f"Give it: {name}={kept}(…)." if kept else "Leave it out."
                raise RunError(f"{where}: expected the {name} that it was trained with, {kept}, got {got}. {mend}")
        return dict(given)

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotYetFittedError(f"{type(self).__name__}: not fitted yet. Call fit first, or elman.load a run.")

    def _state(self) -> dict[str, Any]:
        """What was learned besides weights, as JSON."""
        return {}

    def _tensors(self) -> dict[str, Tensor]:
        """What was learned besides weights, as tensors."""
        return {}

    def _restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Sets `network_` and all else that `fit` sets, from `_state` and `_tensors`."""
        raise RunError(f"{type(self).__name__}: cannot be loaded.")

    def _hash(self) -> str | None:
        """SHA-256 of the training data, for the manifest; `fit` sets `hash_`."""
        return getattr(self, "hash_", None)


def load(folder: Path | str, **given: Any) -> Any:
    """The estimator that a run folder holds, fitted and ready to predict. Nothing in the folder is executed.

    given  modules of your own that were arguments, as `encoder` of a `Captioner`: the folder has their weights alone;
           `cell`, where your cell's class was given arguments, for the folder has its name alone

    A cell of your own must be defined, under its class name, before its run is loaded.

    Raises `RunError` for a folder that is missing, unfinished, truncated, altered or of another making.

    >>> load("no/such/run")
    Traceback (most recent call last):
    elman.errors.RunError: no/such/run: no such run folder. Check the name.
    """
    config, tensors = RunFolder(folder).load_model()
    name = config["estimator"]
    if name not in ESTIMATORS:
        raise UnknownNameError(
            f"{folder}: holds a {name!r}, which this elman does not have: {suggest(name, ESTIMATORS)}"
        )
    return ESTIMATORS[name]._load(config, tensors, str(folder), given)


def changed(model: Any, **options: Any) -> Any:
    """A copy of an estimator, not fitted, with these arguments instead of its own."""
    copy: Any = clone(model)
    return copy.set_params(**options)


def of_kind(model: Any, table: Mapping[type, Kind]) -> Kind | None:
    """What a table by class has for a model, by the first class that it is of; None where it is of none.

    >>> of_kind(True, {str: "a text", int: "a number"})
    'a number'
    """
    return next((value for kind, value in table.items() if isinstance(model, kind)), None)


def one_of(where: str, name: str, value: Any, known: Sequence[str]) -> None:
    """Raises `OptionError`, with a suggestion, unless `value` is one of `known`."""
    if value not in known:
        raise OptionError(
            f"{where}: {name} must be one of {', '.join(known)}, got {value!r}; {suggest(str(value), known)}"
        )


def whole(where: str, name: str, value: Any, least: int = 1) -> int:
    """The value as an int; raises `OptionError` unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise OptionError(f"{where}: {name} must be a whole number ≥ {least}, got {value!r}.")
    return int(value)


def seed_of(random_state: Any) -> int:
    """A seed from scikit-learn's `random_state`: an int, a RandomState, or None for a fresh one."""
    from sklearn.utils import check_random_state

    if hasattr(random_state, "__index__") and not isinstance(random_state, bool):
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError:
        raise OptionError(
            f"random_state must be a whole number, a RandomState or None, got {random_state!r}."
        ) from None


def _as_json(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's; anything else by its name."""
    return value.tolist() if hasattr(value, "tolist") else type(value).__name__


def seeded(seed: int, build: Any) -> Any:
    """What `build()` gives, its random draws decided by `seed` alone and the caller's generator untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would set those of all GPUs, too
        return build()
