"""What is searched over: for each argument of an estimator its range, made from the value that the argument has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from elman.cells import find_cell, name_of
from elman.errors import OptionError, suggest
from elman.estimators.base import Estimator, changed
from elman.training.settings import TrainingSettings

CELLS = ("lstm", "gru", "mgu", "elman", "indrnn", "mingru")
"""cells that are tried where none are named: one of each family, for seventeen would take more trials than one has"""
EXTRA = ("bidirectional", "pooling", "stride", "noise", "embedding_size", "embedding_dropout", "unknown", "truncate")
"""what may be searched over besides the arguments of the stack and of the training, which all estimators have"""
NEVER = {"backend", "accelerator", "precision", "patience", "validate_every"}
"""what changes how fast a net is trained, or when it is looked at, but not how good it is"""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones, or drawn by their logarithm."""

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def suggest(self, trial: Any, name: str) -> Any:
        """A trial's number."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def suggest(self, trial: Any, name: str) -> Any:
        """A trial's value."""
        return trial.suggest_categorical(name, list(self.values))


Domain = Range | Choice


def _around(factor: float, above: float | None = None) -> Callable[[Any], Domain]:
    """From the value / factor to the value · `above` (the factor, unless given), by the logarithm."""

    def domain(value: Any) -> Domain:
        low, high = value / factor, value * (above or factor)
        whole = isinstance(value, int)
        return Range(max(1, round(low)) if whole else low, round(high) if whole else high, whole, log=True)

    return domain


USUAL: dict[str, Callable[[Any], Domain]] = {
    "cell": lambda value: Choice(tuple(dict.fromkeys((value, *CELLS)))),
    "num_layers": lambda value: Range(1, max(3, value), whole=True),
    "hidden_size": _around(4, above=2),
    "learning_rate": _around(10),
    "clip_norm": _around(10),
    "dropout": lambda value: Range(0.0, max(0.6, value)),
    "truncate": _around(4),
}
"""what is searched over where nothing is said, and in which range around the estimator's own value"""


def make_space(
    estimator: Estimator, search: Mapping[str, Any] | None = None, only: Iterable[str] | None = None
) -> dict[str, Domain]:
    """The domain of each argument to search over.

    search  by name (low, high), a list of values, a single value that is then kept, or None: the usual range
    only    the names to search over; None: the usual ones, as far as the estimator has them, and those of `search`

    Raises `OptionError`, `UnknownNameError`; also for an argument that changes what the loss measures, since then the
    losses of two trials could not be compared.

    >>> from elman.estimators import SequenceClassifier
    >>> space = make_space(SequenceClassifier(), {"cell": ["gru", "lstm"], "dropout": 0.5, "num_layers": (1, 2)})
    >>> space["cell"], space["num_layers"], "dropout" in space
    (Choice(values=('gru', 'lstm')), Range(low=1, high=2, whole=True, log=False), False)
    >>> space["hidden_size"]
    Range(low=25, high=200, whole=True, log=True)
    """
    where = f"tune({type(estimator).__name__})"
    has: dict[str, Any] = estimator.get_params(deep=False)
    has["cell"] = name_of(find_cell(has["cell"], where))
    allowed = {*estimator.stack(), *TrainingSettings.model_fields, *EXTRA} & set(has) - NEVER
    search = dict(search or {})
    wanted = [*USUAL, *search] if only is None else [*only, *search]
    for name in dict.fromkeys([*search, *(only or ())]):
        if name not in allowed:
            why = "has no such argument" if name not in has else "of other values the losses could not be compared"
            raise OptionError(f"{where}: cannot search over {name!r}, {why}; {suggest(name, allowed)}")
    space: dict[str, Domain] = {}
    for name in dict.fromkeys(name for name in wanted if name in allowed):
        if search.get(name) is not None:
            domain = _read(f"{where}: {name}", name, search[name], has[name])
        elif name in USUAL and has[name] is not None:
            domain = USUAL[name](has[name])
        elif name in search or only is not None:
            raise OptionError(f"{where}: {name} has no usual range here. Give one: {name}=LOW..HIGH, or {name}=A,B.")
        else:
            continue
        if isinstance(domain, Choice) and len(domain.values) == 1:
            continue
        space[name] = domain
    if not space:
        raise OptionError(f"{where}: nothing is left to search over, every argument has one value. Give a range.")
    _check(estimator, space, where)
    return space


def fixed(estimator: Estimator, search: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments to which a search gives one value: those that the estimator itself should have.

    >>> from elman.estimators import SequenceClassifier
    >>> fixed(SequenceClassifier(), {"dropout": 0.5, "num_layers": (2, 2), "cell": ["lstm", "gru"]})
    {'dropout': 0.5, 'num_layers': 2}
    """
    has: dict[str, Any] = estimator.get_params(deep=False)
    found = {}
    for name, given in (search or {}).items():
        values = set(given) if _several(given) else {given}
        if name in has and given is not None and len(values) == 1:
            found[name] = values.pop()
    return found


def defaults(estimator: Estimator, space: Mapping[str, Domain]) -> dict[str, Any]:
    """The estimator's own values, as far as they lie in the space."""
    has: dict[str, Any] = estimator.get_params(deep=False)
    has["cell"] = name_of(find_cell(has["cell"]))
    return {name: has[name] for name, domain in space.items() if has[name] in domain}


def to_json(space: Mapping[str, Domain]) -> dict[str, Any]:
    """The space as JSON, by which a search that goes on knows its own."""
    return {name: {key: value if not isinstance(value, tuple) else list(value) for key, value in asdict(domain).items()}
            for name, domain in space.items()}  # fmt: skip


def _several(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _read(where: str, name: str, given: Any, value: Any) -> Domain:
    """A domain as it was given; value: what the argument is."""
    if isinstance(given, list) or not _several(given):
        values = given if isinstance(given, list) else [given]
        if not values:
            raise OptionError(f"{where} must have a value to try, got none.")
        if name == "cell":
            values = [name_of(find_cell(cell, where)) for cell in values]
        return Choice(tuple(dict.fromkeys(values)))
    if len(given) != 2 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given):
        raise OptionError(f"{where} must be two numbers (low, high), a list of values or one value, got {given!r}.")
    low, high = given
    if not low <= high:
        raise OptionError(f"{where} must go from a lower number to a higher one, got {low} to {high}. Turn them round.")
    whole = all(isinstance(v, int) for v in given) and not isinstance(value, float)
    if low == high:
        return Choice((low,))
    return Range(low, high, whole, log=low > 0 and high >= 10 * low)


def _check(estimator: Estimator, space: Mapping[str, Domain], where: str) -> None:
    """Raises what the estimator raises for an end of a range, before hours are spent on others."""
    for name, domain in space.items():
        for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
            try:
                changed(estimator, **{name: value}).check_common()
            except OptionError as problem:
                raise OptionError(f"{where}: {name}={value} cannot be tried. {problem}") from None
