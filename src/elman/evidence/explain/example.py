"""One example through a trained model: what it says, owed to which steps, and what went on inside."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.inputs import Names
from elman.errors import DataError, OptionError
from elman.estimators import LanguageModel
from elman.estimators.sequences.base import SequenceEstimator
from elman.evidence.explain.attribution import Attribution, integrated_gradients
from elman.recurrent.inside import recorded


@dataclass(frozen=True)
class Inside:
    """What a layer did, in one direction: values[name] is (T, H), of the state and of each gate."""

    layer: int
    reverse: bool
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class Example:
    """An example explained.

    steps        each as it is written: a name, or its number
    features     names of the numbers at a step; (): steps are names
    x            (T, F) the numbers; None: steps are names
    said         what the model says of it
    of           the quantity that is divided among the steps
    attribution  how
    inside       of each layer and direction
    attention    weight of each step, where the model has it
    """

    steps: list[str]
    features: tuple[str, ...]
    x: np.ndarray | None
    said: str
    of: str
    attribution: Attribution
    inside: list[Inside]
    attention: np.ndarray | None = field(default=None)

    def __str__(self) -> str:
        found = self.attribution
        order = np.argsort(-np.abs(found.steps), kind="stable")[:SHOWN]
        width = max(len(self.steps[t]) for t in order)
        lines = [f"Said: {self.said}.", f"{self.of}: {found.end:.3f}; of nothing: {found.begin:.3f}. Owed to"]
        for t in order:
            name = f"step {t}" if self.x is not None else f"step {t}, {self.steps[t]}"
            lines.append(f"  {found.steps[t]:+8.3f}  {name.ljust(width)}".rstrip())
        rest = float(found.steps.sum() - found.steps[order].sum())
        if len(order) < len(self.steps):
            lines.append(f"  {rest:+8.3f}  {len(self.steps) - len(order)} others")
        return "\n".join([*lines, self.check])

    @property
    def check(self) -> str:
        """Whether the parts sum to the whole, in a sentence."""
        found = self.attribution
        verdict = "complete" if found.gap <= CLOSE else "NOT complete, so take it with care"
        return f"The parts sum to the whole but for {found.gap:.2%} of it ({found.points} points): {verdict}."

    def to_json(self) -> dict[str, Any]:
        """All numbers, as a run folder keeps them."""
        found = self.attribution
        about = {"said": self.said, "of": self.of, "begin": found.begin, "end": found.end, "gap": found.gap}
        attention = None if self.attention is None else self.attention.tolist()
        return {**about, "steps": self.steps, "parts": found.parts.tolist(), "attention": attention}


SHOWN = 8
"""steps that are named in text"""
GREATEST = 1e6
"""standard deviations from the mean beyond which a number is taken for a mistake"""
CLOSE = 0.05
"""gap above which the parts are not to be trusted"""


def explain_example(model: Any, x: Any, step: int | None = None) -> Example:
    """Which steps of x the model's answer is owed to, by `integrated_gradients`, and every state and gate on the way.

    model  a fitted classifier, regressor or tagger, or a `LanguageModel` of text
    x      one sequence, as `predict` takes many
    step   of a tagger: whose label is explained; None: the last one

    Of classes the log-odds of the one that is said is divided, of numbers the number, of texts the log-odds of the next
    token. Numbers begin at their mean, names at a vector of zeros.

    Raises `OptionError` for other models, or a step that is not there.
    """
    if isinstance(model, SequenceEstimator) and model.body == "recurrent":
        return _labelled(model, x, step)
    if isinstance(model, LanguageModel) and getattr(model, "inputs_", None) is not None and model.body == "recurrent":
        return _continued(model, x)
    raise OptionError(
        f"explain: reads classifiers, regressors, taggers and language models of text, got a {type(model).__name__}."
    )


def _labelled(model: SequenceEstimator, x: Any, step: int | None) -> Example:
    codes = model.inputs_.encode([x], "explain")[0][None]
    net = copy.deepcopy(getattr(model.network_, "scores", model.network_)).double().eval()
    named, count = isinstance(model.inputs_, Names), codes.shape[1]
    at = count - 1 if step is None else step
    if not 0 <= at < count:
        raise OptionError(f"explain: step must be in 0 to {count - 1}, got {step}.")
    given = net.front(codes, None)[0][0].detach() if named else codes[0].double()

    def scores(v: Tensor) -> Tensor:
        with _read(net.front, (v, None)) if named else contextlib.nullcontext():
            z = net(codes.expand(len(v), -1, -1) if named else v)
        return z[:, at] if model.per_step else z

    with torch.no_grad():
        z = scores(given[None])[0]
    answer, said, of = _answer(model, z)
    if model.per_step:
        said, of = f"{said} at step {at}", f"{of} at step {at}"
    if not torch.isfinite(z).all() or float(given.abs().max()) > GREATEST:
        raise DataError(
            f"explain: numbers must be within ±{GREATEST:g} standard deviations of the mean. Check the sequence."
        )
    found = integrated_gradients(lambda v: answer(scores(v)), given, torch.zeros_like(given))
    looks: Any = model if model.pooling == "attention" and hasattr(model, "attention") else None
    steps = model.inputs_.cut(x) if named else [str(t) for t in range(count)]
    raw = None if named else np.asarray(x, float).reshape(count, -1)
    features = () if raw is None else tuple(f"feature {k}" for k in range(raw.shape[1]))
    inside = _inside(net.body.net, lambda: scores(given[None]))
    attention = None if looks is None else looks.attention([x])[0]
    return Example(list(steps), features, raw, said, of, found, inside, attention)


def _answer(model: Any, z: Tensor) -> tuple[Callable[[Tensor], Tensor], str, str]:
    """What is divided, from scores (M, K) to (M,); what is said; and the name of what is divided."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        scale, mean = float(np.ravel(model.scale_)[0]), float(np.ravel(model.mean_)[0])
        said = f"{scale * float(z[0]) + mean:.4g}"
        return lambda many: scale * many[:, 0] + mean, said, "The number"
    best = int(z.argmax())
    return _odds(best), f"{classes[best]}, {float(torch.softmax(z, 0)[best]):.1%}", f"Log-odds of {classes[best]}"


def _odds(best: int) -> Callable[[Tensor], Tensor]:
    """log p / (1 - p) of one class, from scores (M, K): unlike p it does not bend flat where p is near 0 or 1."""

    def odds(many: Tensor) -> Tensor:
        others = torch.cat([many[:, :best], many[:, best + 1 :]], 1)
        return many[:, best] - torch.logsumexp(others, 1)

    return odds


def _continued(model: LanguageModel, text: Any) -> Example:
    codes = torch.as_tensor(model.encode([text])[0])[None, :, None]
    net = copy.deepcopy(model.network_).double().eval()
    table: Any = net.table
    given = table(codes[0, :, 0]).detach()

    def scores(v: Tensor) -> Tensor:
        with _read(table, v):
            z = net(codes.expand(len(v), -1, -1))[0][:, -1]
        return z[:, 1:]  # token 0 stands for all that is unknown, and is never written

    with torch.no_grad():
        z = scores(given[None])[0]
    best = int(z.argmax())
    words: Any = model.inputs_
    token = "".join(words.spell([best + 1])).strip(" ") or " "
    said = f"next {token!r}, {float(torch.softmax(z, 0)[best]):.1%}"
    found = integrated_gradients(lambda v: _odds(best)(scores(v)), given, torch.zeros_like(given))
    inside = _inside(net.body, lambda: scores(given[None]))
    return Example(model.pieces(text), (), None, said, f"Log-odds of {token!r}", found, inside)


@contextlib.contextmanager
def _read(module: nn.Module, value: Any) -> Iterator[None]:
    """Within the block a module gives a value in place of what it reads."""
    hook = module.register_forward_hook(lambda *_: value)
    try:
        yield
    finally:
        hook.remove()


def _inside(stack: nn.Module, run: Callable[[], Any]) -> list[Inside]:
    """States and gates of a stack's layers while one row goes through."""
    with torch.no_grad(), recorded(stack) as records:
        run()
    found, below = [], -1
    for record in records:
        below += not record.reverse
        states = np.array([[part[0].numpy() for part in state] for state in record.states])
        names = list(record.layer.traced.cell.states)
        values = {f"state {name}": states[:, i] for i, name in enumerate(names)}
        values |= {f"gate {name}": gate[:, 0].numpy() for name, gate in record.gates.items()}
        found.append(Inside(below, record.reverse, values))
    return found
