"""A model as one C99 file and its header: weights inside, no allocation, no library, no globals that change."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.backends.native.compiler import Compiler, find_compiler
from elman.errors import OptionError
from elman.export.cost import Cost, cost_of
from elman.export.model import about, causal_of
from elman.files import make_folder, write_atomic
from elman.steps.causal import StackStep
from elman.steps.parts import Looked, Measured
from elman.steps.program import Program, program

STANDARD = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
"""what the file compiles with"""
SHOWN = 40
"""outputs that the header names"""
RESERVED = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|main|"
    "register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while"
)


@dataclass(frozen=True)
class Exported:
    """What was written, and how large and how true it is.

    source, header   the files
    weights    bytes of numbers in the file, which go into flash
    state      bytes of one sequence's state
    code       bytes of machine code for this machine, optimised for size; None without a compiler
    stack      bytes of stack that a step takes here; None without gcc
    cost       how true it is, on the data that were given or on random steps; None without a compiler
    """

    source: Path
    header: Path
    weights: int
    state: int
    code: int | None
    stack: int | None
    cost: Cost | None


def to_c(
    model: Any,
    folder: Path | str,
    name: str = "model",
    *,
    weights: str = "float32",
    main: bool = False,
    X: Sequence[Any] | None = None,
    y: Sequence[Any] | None = None,
) -> Exported:
    """Writes `name.c` and `name.h` into a folder.

    model    a fitted estimator that can stream, its `causal()`, or a `Recurrent` net in one direction
    name     of the files, and what its functions begin with
    weights  "float32", or "int8": a quarter of the size, rounded
    main     whether there is a program for trying it: `cc -DNAME_MAIN name.c`, numbers in, answers out
    X, y     sequences, and what is true of them, on which its cost is measured; None: random steps

    Raises `DataError` for X that the model does not read, `OptionError` for a model that cannot stream or that C is
    not written for, `RunError` where it cannot write.

    >>> import elman, tempfile
    >>> made = to_c(elman.Recurrent("gru", 3, 8), tempfile.mkdtemp(), "tiny")
    >>> made.source.name, made.state
    ('tiny.c', 32)
    """
    name = _checked(name)
    made = program(causal_of(model), weights)
    folder = Path(folder)
    make_folder(folder)
    source, header = folder / f"{name}.c", folder / f"{name}.h"
    write_atomic(header, _header(made, name).encode())
    write_atomic(source, _source(made, name, main=main).encode())
    bytes_of_numbers = made.weights.nbytes + made.vectors.nbytes + 4 * len(made.measures)
    compiler = find_compiler()
    code, stack = (None, None) if compiler is None else _measured(compiler, source)
    cost = None if compiler is None else cost_of(made.step, made, X, y)
    return Exported(source, header, bytes_of_numbers, 4 * len(made.first), code, stack, cost)


def _checked(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or RESERVED.fullmatch(name):
        raise OptionError(f"to_c: name must be a name in C, letters, digits and _, got {name!r}. Choose another one.")
    return name


# -- the text --------------------------------------------------------------------------------------------------------


def _header(made: Program, name: str) -> str:
    step, upper = made.step, name.upper()
    numbers = "one number" if step.inputs == 1 else f"{step.inputs} numbers"
    missing = ", NaN where one is missing" if isinstance(step.reads, Measured) else ""
    given = "the code of a name" if isinstance(step.reads, Looked) else f"{numbers}{missing}, else finite"
    parts = ", ".join(f"{part.name} {' x '.join(map(str, part.shape))}" for part in step.parts)
    return f"""/* {about(step.where, step.stack)}, written by elman: do not edit.

   x      {given}
   y      {_said(step)}
   state  {parts}: plain numbers, to be copied, kept and put back

   A state is one sequence; any number of them may be under way. Nothing is allocated, no library is called. */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

enum {{ {upper}_INPUTS = {step.inputs}, {upper}_OUTPUTS = {step.outputs}, {upper}_STATE = {len(made.first)} }};

typedef struct {{
    float at[{upper}_STATE];
}} {name}_state;

void {name}_init(/*@out@*/ {name}_state *state);
void {name}_step({name}_state *state, const float *x, float *y);

#ifdef __cplusplus
}}
#endif

#endif
""".replace("/*@out@*/ ", "")


def _said(step: StackStep) -> str:
    """What y holds, as a comment can say it."""
    names = getattr(step.says, "names", None)
    text = {"Probabilities": "probabilities of", "Chain": "scores, the greatest is 0, of"}.get(type(step.says).__name__)
    if names is None or text is None:
        return {"Units": "numbers in their units", "Chances": "the probability of each note"}.get(
            type(step.says).__name__, "outputs of the last layer"
        )
    shown = ", ".join(re.sub(r"[^ -~]|\*/", "?", str(name)) for name in names[:SHOWN])
    return f"{text} {shown}{', ...' if len(names) > SHOWN else ''}"


def _source(made: Program, name: str, *, main: bool) -> str:
    kind = "int8_t" if made.weights.dtype == np.int8 else "float"
    numbers = "\n".join(
        [
            *_array(f"{kind} WEIGHTS", made.weights),
            *_array("float VECTORS", made.vectors),
            *_array("float MEASURES", made.measures if len(made.measures) else np.zeros(1)),
            *_array("float FIRST", made.first),
        ]
    )
    return f"""/* {about(made.step.where, made.step.stack)}, written by elman: do not edit. C99, nothing else is needed:

       cc -std=c99 -O3 -c {name}.c

   Weights are {made.weights.dtype}. Functions first, then the numbers. */
#include "{name}.h"

{made.text}
{numbers}

void {name}_init({name}_state *state)
{{
    for (int i = 0; i < {name.upper()}_STATE; i++) state->at[i] = FIRST[i];
}}

void {name}_step({name}_state *state, const float *x, float *y)
{{
    step(WEIGHTS, VECTORS, MEASURES, state->at, x, y);
}}
{_main(name) if main else ""}"""


def _main(name: str) -> str:
    upper = name.upper()
    return f"""
#ifdef {upper}_MAIN
#include <stdio.h>

/* Steps of {upper}_INPUTS numbers each in, with spaces or lines between; a line of answers for each out. */
int main(void)
{{
    {name}_state state;
    float x[{upper}_INPUTS], y[{upper}_OUTPUTS];
    {name}_init(&state);
    for (;;) {{
        for (int i = 0; i < {upper}_INPUTS; i++) {{
            const int found = scanf("%f", &x[i]);
            if (found == 1) continue;
            if (found == EOF && i == 0) return 0;
            fprintf(stderr, "{name}: expected %d numbers for each step, spaces between.\\n", {upper}_INPUTS);
            return 1;
        }}
        {name}_step(&state, x, y);
        for (int i = 0; i < {upper}_OUTPUTS; i++) printf(i ? " %.9g" : "%.9g", (double)y[i]);
        printf("\\n");
    }}
}}
#endif
"""


def _array(head: str, values: np.ndarray) -> Iterator[str]:
    """A constant array, in lines of at most 120 characters."""
    yield f"static const {head}[] = {{"
    line = "   "
    for text in map(_number, values):
        if len(line) + len(text) > 118:
            yield line
            line = "   "
        line += f" {text},"
    yield from (line, "};")


def _number(value: Any) -> str:
    """A number as C has it; of floats the shortest digits that give it back."""
    if isinstance(value, np.integer):
        return str(value)
    return f"{np.format_float_scientific(np.float32(value), trim='0', exp_digits=1)}f".replace("e+0f", "f")


# -- how large it is -------------------------------------------------------------------------------------------------


def _measured(compiler: Compiler, source: Path) -> tuple[int | None, int | None]:
    """Bytes of code and of stack, as the machine's compiler makes them."""
    with tempfile.TemporaryDirectory(prefix="elman-") as made:
        work = Path(made)
        command = [*compiler.command, "-std=c99", "-Os", "-fstack-usage", "-c", str(source.resolve()), "-o", "it.o"]
        try:
            done = subprocess.run(command, cwd=work, capture_output=True, timeout=120, check=False)
            sizes = subprocess.run(["size", "-A", "it.o"], cwd=work, capture_output=True, text=True, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None, None
        if done.returncode or sizes.returncode:
            return None, None
        code = sum(int(n) for n in re.findall(r"^\.text\S*\s+(\d+)", sizes.stdout, re.MULTILINE))
        usage = [line.split("\t") for file in work.glob("*.su") for line in file.read_text().splitlines()]
        return code, sum(int(fields[1]) for fields in usage) or None
