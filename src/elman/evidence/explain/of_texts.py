"""Why a net that writes wrote a word: owed to what it read, or of a picture to what it had written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.inputs import Names
from elman.data.pictures import Pictures
from elman.decode import ctc_align
from elman.estimators import Captioner, Transcriber, Translator
from elman.estimators.transduction.captioner import PictureEncoder
from elman.estimators.transduction.decoder import State, Transducer
from elman.estimators.transduction.writer import Writer
from elman.evidence.explain.attribution import integrated_gradients
from elman.evidence.explain.example import Example, Inside, Looked
from elman.evidence.explain.passes import copied, inside, odds, read_as, step_of, within_reason

END = "(end)"
"""how the token that ends a text is shown"""


def of_translation(model: Translator, x: Any, step: int | None) -> Example:
    """Log-odds of the word at a step of what it writes, the first, after those before it: owed to what it read."""
    net, codes, words = _written(model, x)
    at = step_of(step, len(words), 0)
    read, before = _encoded(model, x)
    named = isinstance(model.inputs_, Names)
    encoder: Any = net.encoder
    given = encoder.front(read, None)[0][0].detach() if named else read[0].double()
    within_reason(given)

    def state(v: Tensor) -> State:
        with read_as(encoder.front, (v, None)) if named else contextlib.nullcontext():
            return net.begin(read.expand(len(v), -1, -1) if named else v, None)

    chance, answer = _said(net, codes[:, : at + 1])
    found = integrated_gradients(lambda v: answer(state(v)), given, torch.zeros_like(given))
    with torch.no_grad():
        begun = state(given[None])
        looked = net.attend(codes, begun)[0].numpy()
    sources = before if looked.shape[1] == len(before) else [str(k) for k in range(looked.shape[1])]
    layers = inside(encoder.net, lambda: state(given[None]), "Encoder", sources)
    layers += _decoder(net, codes, begun, words)
    raw = None if named else np.asarray(x, float).reshape(len(before), -1)
    if raw is not None:
        found = found.with_gaps(raw.shape[1], model.inputs_.gaps)
    features = () if raw is None else tuple(f"feature {k}" for k in range(raw.shape[1]))
    text = f"{model.predict([x])[0]!r}; its word {at}, {words[at]!r}, {chance(begun):.1%}"
    return Example(
        before, features, raw, text, f"Log-odds of {words[at]!r}", found, layers, looked=Looked(words, sources, looked)
    )


def of_caption(model: Captioner, x: Any, step: int | None) -> Example:
    """Log-odds of the word at a step of what it writes, the last: owed to the words before, the picture kept as it is.

    A picture has no steps that it could be divided among; where the net looked is shown instead.
    """
    net, codes, words = _written(model, x)
    at = step_of(step, len(words), max(0, len(words) - 2))
    read, _ = _encoded(model, x)
    with torch.no_grad():
        begun = net.begin(read.double(), None)
        looked = net.attend(codes, begun)[0].numpy()
        given = net.decoder.table(net.before(codes[:, : at + 1]))[0]
    chance, answer = _said(net, codes[:, : at + 1])

    def answered(v: Tensor) -> Tensor:
        with read_as(net.decoder.table, v):
            return answer(net.select(begun, torch.zeros(len(v), dtype=torch.long)))

    found = integrated_gradients(answered, given, torch.zeros_like(given))
    layers = _decoder(net, codes, begun, words)
    sources = [f"region {k}" for k in range(looked.shape[1])]
    picture = np.asarray(x) if isinstance(model.inputs_, Pictures) else None
    where = Looked(words, sources, looked, picture, _grid(net.encoder, looked.shape[1]))
    text = f"{model.predict([x])[0]!r}; its word {at}, {words[at]!r}, {chance(begun):.1%}"
    steps = ["(begin)", *words[:at]]
    return Example(steps, (), None, text, f"Log-odds of {words[at]!r}", found, layers, looked=where)


def of_transcript(model: Transcriber, x: Any, step: int | None) -> Example:
    """Log-odds of a label of the transcript, the first, where on the best path that spells it it peaks."""
    net: Any = copied(model.network_)
    read, before = _encoded(model, x)
    given, sizes = read[0].double(), torch.tensor([len(before)])
    within_reason(given)

    def logs(v: Tensor) -> Tensor:
        return net(v, sizes.expand(len(v)))[0]

    names, labels = model.targets_.vocabulary.names, model.codes([x])[0]
    with torch.no_grad():
        said = logs(given[None])[0]
    places = ctc_align(said, labels)
    steps = len(said)
    if labels:
        at = step_of(step, len(labels), 0)
        label, place, name = labels[at], places[at], names[labels[at] - 1]
        text = f"{model.predict([x])[0]!r}; its label {at}, {name!r}, {float(said[place, label].exp()):.1%} at "
    else:
        label, place, name = 0, int(said[:, 0].argmin()), "none"
        text = "nothing; no label is least sure at "
    joined = model.stride_
    where = f"step {place}" if joined == 1 else f"steps {place * joined} to {place * joined + joined - 1}"
    found = integrated_gradients(lambda v: odds(label)(logs(v)[:, place]), given, torch.zeros_like(given))
    raw = np.asarray(x, float).reshape(len(before), -1)
    features = tuple(f"feature {k}" for k in range(raw.shape[1]))
    found = found.with_gaps(raw.shape[1], model.inputs_.gaps)
    named = None if steps == len(before) else [str(k * joined) for k in range(steps)]
    layers = inside(net.body.net, lambda: logs(given[None]), steps=named)
    return Example(before, features, raw, text + where, f"Log-odds of {name!r} at {where}", found, layers)


def _encoded(model: Any, x: Any) -> tuple[Tensor, list[str]]:
    """What it reads, (1, T, ·), and how its steps are called."""
    read = model.inputs_.encode([x], "explain")[0][None]
    names = isinstance(model.inputs_, Names)
    return read, list(model.inputs_.cut(x)) if names else [str(t) for t in range(read.shape[1])]


def _written(model: Writer, x: Any) -> tuple[Transducer, Tensor, list[str]]:
    """A copy of its net, the codes of what it writes, (1, T), and its words, both with the end."""
    found = model.written([x], "explain")[0]
    net: Transducer = copied(model.network_)  # after it has written: from then on it says whether it copies
    shown = [word.replace("▁", "") or word for word in found.words]
    return net, torch.tensor([[*found.codes, net.end]]), [*shown, END]


def _said(net: Transducer, codes: Tensor) -> tuple[Callable[[State], float], Callable[[State], Tensor]]:
    """How probable the last of these codes is, from the states of many rows, and its log-odds likewise."""
    first = 0 if net.unknown else 1  # the unknown word is written only where something is put in its place
    best = int(codes[0, -1]) - first

    def scores(state: State) -> Tensor:
        rows = len(state.memory)
        return net.decoder.scores(net.decoder(net.before(codes).expand(rows, -1), state)[0][:, -1])[:, first:]

    def chance(state: State) -> float:
        with torch.no_grad():
            return float(torch.softmax(scores(state)[0], 0)[best])

    return chance, lambda state: odds(best)(scores(state))


def _decoder(net: Transducer, codes: Tensor, begun: State, words: list[str]) -> list[Inside]:
    """The decoder's layers while it writes these words."""

    def write() -> None:
        net.attend(codes, begun)

    parts = (("Decoder, asking", net.decoder.below), ("Decoder, writing", net.decoder.above))
    return [layer for part, stack in parts for layer in inside(stack, write, part, words)]


def _grid(encoder: Any, regions: int) -> tuple[int, int]:
    """How the regions of a picture lie: (rows, columns)."""
    if not isinstance(encoder, PictureEncoder):
        return 1, regions
    height, width = encoder.shape
    for _ in encoder.convolutions:
        height, width = -(-height // 2), -(-width // 2)
    return height, width
