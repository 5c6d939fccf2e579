"""`to_onnx`: a model written as an ONNX file, after ONNX Runtime has said the same as the model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from elman.data.vocabulary import UNKNOWN
from elman.errors import OptionError, RunError
from elman.export.model import about, causal_of
from elman.export.onnx.models import Made, net_model, sequence_model, step_model
from elman.export.onnx.nodes import onnx_packages
from elman.export.onnx.parity import net_error, sequence_error, step_error
from elman.files import write_atomic
from elman.recurrent import Recurrent
from elman.steps import Causal, Pipeline, StackStep

WORST = 1e-4
"""difference to the model, above 1 relative to it, with which a file is not written"""


@dataclass(frozen=True)
class ExportedOnnx:
    """What was written, and how large and how true it is.

    path       the file
    inputs     of the graph, by name, with their shapes: a name stands for a size that is free
    outputs    likewise
    operators  kinds of nodes, each once
    size       bytes of the file
    error      largest difference to the model over random inputs, above 1 relative to it; the file's metadata have it
    """

    path: Path
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    operators: tuple[str, ...]
    size: int
    error: float


def to_onnx(model: Any, path: Path | str, *, steps: bool = False) -> ExportedOnnx:
    """Writes a model as an ONNX graph with its weights: for whole sequences, or for one step at a time.

    model  a fitted SequenceClassifier, SequenceRegressor, SequenceTagger or LanguageModel, or a `Recurrent` net;
           for steps, the `causal()` of a model, too
    steps  False: sequences x (B, T, I) with their lengths (B,), B and T free, to what `predict_proba`, or `predict` of
           numbers, says: y (B, K), or (B, T, K) where each step has an answer, 0 past the lengths; of a chain of
           labels the best path (B, T), their places among the classes.
           Of a net: x and the state, each part (B, L·D, H), to y (B, T, D·H) and the last state.
           True: one step, x (B, I) and the state by its parts, to y (B, K) and the next state, "h_next" for "h";
           `OnnxStream` runs it

    x is double where it is measured (NaN: missing), int64 where it is the code of a name, else float. Reading,
    standardisation and the initial state are inside; names are looked up outside. LSTM, GRU and RNN are ONNX's own
    operators over whole sequences, any other cell is a Scan of its step, and a step is plain operators.

    The file's metadata, JSON where they are lists:
    elman.version, elman.model, elman.error
    elman.state    its parts, as {"name", "shape", "start"}: start is a number or an array of `shape`
    elman.outputs  names of the numbers of y;  elman.inputs  names by their code

    Raises `OptionError` for a model that cannot be written so, `RunError` where ONNX Runtime finds another answer than
    the model or the file cannot be written, `MissingExtraError` without onnx and onnxruntime.

    >>> import elman, tempfile
    >>> made = to_onnx(elman.Recurrent("gru", 3, 8), Path(tempfile.mkdtemp(), "net.onnx"))
    >>> made.inputs["x"], made.outputs["h_next"], "GRU" in made.operators, made.error < 1e-5
    (('B', 'T', 3), ('B', 1, 8), True, True)
    """
    onnx, _ = onnx_packages()
    made, error, facts = _step(model) if steps else _sequence(model)
    if not error <= WORST:
        raise RunError(
            f"{path}: ONNX Runtime must answer as the model does, within {WORST:g}, got a difference of {error:.3g}. "
            "Nothing was written; weights that amplify what is rounded do so."
        )
    known = {"version": version("elman"), "error": f"{error:.3g}", "state": json.dumps(_state(made)), **facts}
    onnx.helper.set_model_props(made.proto, {f"elman.{name}": text for name, text in known.items()})
    content, path = made.proto.SerializeToString(), Path(path)
    write_atomic(path, content)
    graph = made.proto.graph
    return ExportedOnnx(path, _shapes(graph.input), _shapes(graph.output), _operators(graph), len(content), error)


def _step(model: Any) -> tuple[Made, float, dict[str, str]]:
    """The graph of one step, its error, and what is known about the model."""
    step = causal_of(model)
    if not isinstance(step, StackStep):
        raise OptionError(f"{step.where}: ONNX is written for a recurrent stack and a head, which this is not.")
    _check_float(step.where, step)
    made = step_model(step)
    return made, step_error(made, step), _facts(step.where, step.stack, step.says, step.codes)


def _sequence(model: Any) -> tuple[Made, float, dict[str, str]]:
    """The same of whole sequences."""
    if isinstance(model, Causal):
        raise OptionError(f"{model.where}: this is one step of a model. Write steps=True, or give the model.")
    if isinstance(model, Recurrent):
        _check_float("Recurrent", model)
        made = net_model(model)
        return made, net_error(made, model), _facts("Recurrent", model)
    if not hasattr(model, "pipeline"):
        raise OptionError(f"to_onnx: expected a fitted estimator or a Recurrent net, got {type(model).__name__}.")
    line: Pipeline = model.pipeline()
    _check_float(line.where, model.network_)
    made = sequence_model(line)
    return made, sequence_error(made, line, model.network_), _facts(line.where, line.stack, line.says, line.codes)


def _check_float(where: str, module: nn.Module) -> None:
    if any(p.dtype != torch.float32 for p in module.parameters()):
        raise OptionError(f"{where}: ONNX is written for weights of float32. Call .float() on the model.")


def _facts(where: str, stack: Recurrent, says: Any = None, codes: Any = None) -> dict[str, str]:
    facts = {"model": about(where, stack)}
    if (names := getattr(says, "names", None)) is not None:
        facts["outputs"] = json.dumps(names, default=str)
    if codes is not None:
        facts["inputs"] = json.dumps([UNKNOWN, *codes.vocabulary.names])
    return facts


def _state(made: Made) -> list[dict[str, Any]]:
    """The state's parts and what they hold before the first step; of equal numbers one."""
    starts = [v.flat[0].item() if (v == v.flat[0]).all() else v.tolist() for v in made.first]
    return [{"name": p.name, "shape": p.shape, "start": s} for p, s in zip(made.parts, starts, strict=True)]


def _shapes(ports: Iterable[Any]) -> dict[str, tuple[int | str, ...]]:
    return {p.name: tuple(d.dim_param or d.dim_value for d in p.type.tensor_type.shape.dim) for p in ports}


def _operators(graph: Any) -> tuple[str, ...]:
    """Kinds of nodes, those inside of others too."""
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    kinds = {node.op_type for node in graph.node}
    return tuple(sorted(kinds.union(*map(_operators, inner))))
