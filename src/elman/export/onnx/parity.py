"""What ONNX Runtime makes of a graph, against the model itself in PyTorch, on random inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.decode.viterbi import best_path
from elman.export.model import some_steps
from elman.export.onnx.models import Made
from elman.export.onnx.nodes import onnx_packages
from elman.recurrent import Recurrent
from elman.steps import Pipeline, StackStep
from elman.steps.causal import frozen
from elman.steps.parts import Chain, Looked, Reads, Says

TRIED = 64
"""steps on which the graph of one step is tried"""
SHAPES = ((1, 1), (3, 7), (5, 24))
"""B and T of the sequences on which a graph of whole ones is tried, each with lengths between 1 and T"""


def session(content: bytes) -> Any:
    """ONNX Runtime's session on one thread, for what it is to do is less than waking a second one."""
    runtime = onnx_packages()[1]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def step_error(made: Made, step: StackStep) -> float:
    """Over steps of sequences side by side, each from the state that the model had, so that errors do not add up."""
    errors, rows, run = list[float](), 4, session(made.proto.SerializeToString())
    kind, x = _kind(made), some_steps(step.reads, TRIED).reshape(TRIED // rows, rows, step.inputs)
    state = step.initial(rows)
    for given in x:
        feeds = {part.name: value.numpy() for part, value in zip(step.parts, state, strict=True)}
        found = run.run(None, {"x": given.astype(kind), **feeds})
        y, state = step(torch.from_numpy(given), state)
        errors.append(_difference((y, *state), found))
    return _largest(errors)


@torch.no_grad()
def net_error(made: Made, stack: Recurrent) -> float:
    """Over sequences of unequal lengths, outputs and last state, from a state that is not the initial one."""
    stack, run = frozen(stack), session(made.proto.SerializeToString())
    stack.batch_first, errors, dice = True, list[float](), torch.Generator().manual_seed(0)
    for x, lengths in _sequences(Reads(stack.input_size)):
        state = tuple(part + 0.1 * torch.rand(part.shape, generator=dice) for part in stack.initial_state(len(x)))
        y, last = stack(torch.from_numpy(x).float(), state, lengths)
        feeds = {part.name: s.transpose(0, 1).numpy() for part, s in zip(made.parts, state, strict=True)}
        found = run.run(None, {"x": x.astype(np.float32), "lengths": lengths.numpy(), **feeds})
        errors.append(_difference((y, *(part.transpose(0, 1) for part in last)), found))
    return _largest(errors)


@torch.no_grad()
def sequence_error(made: Made, line: Pipeline, network: nn.Module) -> float:
    """Over sequences of unequal lengths, against the estimator's own net and what the line says of its numbers."""
    network, run = frozen(network), session(made.proto.SerializeToString())
    says = None if line.says is None else frozen(line.says)
    reads, errors, kind = line.reads or Reads(line.stack.input_size), list[float](), _kind(made)
    for x, lengths in _sequences(reads):
        given = torch.from_numpy(x)
        valid = (torch.arange(x.shape[1]) < lengths[:, None]).unsqueeze(-1)
        read = given.long() if isinstance(reads, Looked) else reads(given.flatten(0, 1)).unflatten(0, x.shape[:2])
        z = network(read * valid, lengths=lengths)
        y = _said(says, z[0] if isinstance(z, tuple) else z, lengths)
        y = y * valid if y.dim() > 2 else y
        found = run.run(None, {"x": x.astype(kind), "lengths": lengths.numpy()})
        errors.append(_difference((y,), found))
    return _largest(errors)


def _said(says: Says | None, z: Tensor, lengths: Tensor) -> Tensor:
    """What is said of the net's numbers z (B, K) or (B, T, K); of a chain the best path (B, T)."""
    if isinstance(says, Chain):
        return best_path(z, says.after, says.first, says.last, lengths)
    return z if says is None else says(z.flatten(0, -2), ())[0].unflatten(0, z.shape[:-1])


def _sequences(reads: Reads) -> Iterator[tuple[np.ndarray, Tensor]]:
    """x (B, T, I) and lengths (B,), the longest T."""
    dice = np.random.default_rng(1)
    for rows, steps in SHAPES:
        lengths = dice.integers(1, steps + 1, rows)
        lengths[0] = steps
        yield some_steps(reads, rows * steps).reshape(rows, steps, -1), torch.from_numpy(lengths)


def _kind(made: Made) -> np.dtype:
    return onnx_packages()[0].helper.tensor_dtype_to_np_dtype(made.proto.graph.input[0].type.tensor_type.elem_type)


def _difference(expected: Sequence[Tensor], found: Sequence[np.ndarray]) -> float:
    """The largest, above 1 relative; NaN where one is, infinite where a shape is another."""
    pairs = [(a.numpy(), b) for a, b in zip(expected, found, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        return math.inf
    return _largest([(np.abs(a - b) / np.maximum(1, np.abs(a))).max(initial=0.0) for a, b in pairs])


def _largest(errors: Sequence[float]) -> float:
    """As NumPy has it, NaN where one is: Python's `max` would pass it over."""
    return float(np.max(errors))
