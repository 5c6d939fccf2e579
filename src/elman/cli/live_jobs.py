"""What `elman stream`, `elman serve` and `elman export` do."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.cli.jobs import define_cells, kept_columns
from elman.data.examples import read_examples
from elman.data.text_file import decode, read_bytes
from elman.errors import MissingExtraError, OptionError
from elman.estimators import Forecaster, load
from elman.estimators.sequences.base import SequenceEstimator
from elman.files import make_folder
from elman.live.lines import answers
from elman.live.redis_store import SCHEMES
from elman.live.sessions import Sessions
from elman.steps import Causal, Stream

if TYPE_CHECKING:
    from elman.export import Exported

PORTS = 65535
"""the greatest number of a port"""


def run_stream(run: Path, state: Path | None, every: int, series: str | None, cells: Path | None) -> None:
    """Lines in, lines out, the state kept in a file where one is named."""
    if every < 1:
        raise OptionError(f"elman stream: --every must be 1 or more, got {every}.")
    define_cells(cells)
    opened = Stream(_step(run, series, "elman stream"))
    if state is not None and state.exists():
        opened.restore(state)
        print(f"Going on after step {opened.steps}.", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for number, line in enumerate(answers(opened, sys.stdin.buffer, kept_columns(run).inputs), 1):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            if state is not None and number % every == 0:
                opened.save(state)
    except BrokenPipeError:  # whoever reads has had enough
        sys.stdout = None
    finally:
        if state is not None:
            opened.save(state)


def run_export(
    run: Path,
    to: str,
    out: Path | None,
    name: str | None,
    on: Path | None,
    cells: Path | None,
    *,
    int8: bool,
    main: bool,
) -> None:
    """The files, what they weigh, and what they cost in truth."""
    known = {"c": _export_c, "onnx": _export_onnx, "wasm": _export_wasm}
    if to not in known:
        raise OptionError(f"elman export: --to must be {', '.join(list(known)[:-1])} or {list(known)[-1]}, got {to!r}.")
    if to != "c" and (int8 or main or on is not None):
        raise OptionError(f"elman export: --int8, --main and --on are for --to c, got --to {to}. Leave them out.")
    define_cells(cells)
    model = load(run)
    if isinstance(model, Forecaster):
        more = "more than a recurrent stack and a head: it cannot be exported. Use elman stream, or elman serve"
        raise OptionError(f"elman export: {run} holds a forecaster, which is {more}.")
    wanted = re.sub(r"\W", "_", run.resolve().name, flags=re.ASCII)
    folder, name = out or run / "export", name or (wanted if wanted[0].isalpha() else f"run_{wanted}")
    make_folder(folder)
    options = {"weights": "int8" if int8 else "float32", "main": main} | _examples(model, run, on)
    known[to](model, folder, name, **(options if to == "c" else {}))


def _examples(model: Any, run: Path, file: Path | None) -> dict[str, Any]:
    """Sequences of a file, as the run reads them, and what is true of them where the file tells it."""
    if file is None:
        return {}
    if not isinstance(model, SequenceEstimator):
        return {"X": [decode(read_bytes(file, "elman export"), file, "elman export")]}
    X, y, _ = read_examples(file, kept_columns(run, labelled=True), each_step=model.per_step)
    return {"X": X, "y": y}


def _export_c(model: Any, folder: Path, name: str, **options: Any) -> None:
    from elman.export import to_c

    made = to_c(model, folder, name, **options)
    print(f"Written:  {made.source}, {made.header.name}")
    if options["main"]:
        stem = made.source.stem
        print(f"Try it:   cc -O2 -D{stem.upper()}_MAIN {made.source} -o {stem} -lm; numbers in, a line for each step")
    _tell_c(made)


def _tell_c(made: Exported) -> None:
    print(f"Flash:    {_bytes(made.weights)} of numbers{_and(made.code, ' of code on this machine')}")
    print(f"RAM:      {_bytes(made.state)} of state for each sequence{_and(made.stack, ' of stack in a step')}")
    if made.cost is None:
        return
    cost = made.cost
    same = "" if cost.agreement is None else f", the same most probable answer in {cost.agreement:.2%} of them"
    print(f"Parity:   {cost.error:.1e} from the model at most, over {cost.steps} steps{same}")
    if cost.judged is not None:
        print(f"Cost:     {cost.judged} {cost.model:.4f} of the model, {cost.c:.4f} of the C")


def _export_wasm(model: Any, folder: Path, name: str) -> None:
    """The module, the C that it is made of, and the live page around it."""
    from elman.export import to_wasm
    from elman.live.standalone import write_page

    step = model.causal()
    made = to_wasm(step, folder, name)
    print(f"Written:  {made.path}, {_bytes(made.size)}; {made.c.source.name}, {made.c.header.name}")
    page = made.path.with_suffix(".html")
    write_page(step, made.path, name, page)
    print(f"          {page}, {_bytes(page.stat().st_size)}: a page to try it in, with no server")
    _tell_c(made.c)


def _export_onnx(model: Any, folder: Path, name: str) -> None:
    """Whole sequences, and one step where the model can answer step by step; a model that can do neither is refused."""
    from elman.export import to_onnx

    refusals = []
    for steps, file in ((False, f"{name}.onnx"), (True, f"{name}-step.onnx")):
        try:
            made = to_onnx(model, folder / file, steps=steps)
        except OptionError as reason:
            refusals.append(reason)
            continue
        what = "one step, the state in and out" if steps else "whole sequences"
        print(f"Written:  {made.path}, {_bytes(made.size)}: {what}, {made.error:.1e} from the model at most")
    if len(refusals) == 2:
        raise refusals[0]
    for reason in refusals:
        print(f"Left out: {reason}")


def run_server(
    runs: list[Path],
    host: str,
    port: int,
    store: str | None,
    token: str | None,
    series: str | None,
    cells: Path | None,
    *,
    every: int,
    most: int,
    rate: float,
) -> None:
    """Serves until it is told to stop; what was counted is then in the store."""
    try:
        import uvicorn

        from elman.live.guards import Limits
        from elman.live.server import create_app, create_apps
    except ImportError as problem:
        raise MissingExtraError(f"elman serve: needs {problem.name}. pip install 'elman[serve]'") from None
    if not 0 <= port <= PORTS:
        raise OptionError(f"elman serve: --port must be in 0 to {PORTS}, got {port}. 0 takes any that is free.")
    if token is None and not _is_loopback(host):
        raise OptionError(f"elman serve: --host {host} can be reached by others, so it needs a token: --token WORD.")
    names = [re.sub(r"[{}]", "_", run.resolve().name) for run in runs]  # braces mean something in a route
    if len(set(names)) < len(names):
        raise OptionError(f"elman serve: runs must have names of their own, got {', '.join(names)}. Copy one.")
    if store is not None and len(runs) > 1 and not store.startswith(SCHEMES):
        raise OptionError(f"elman serve: --store {store} would be of several runs. Leave it out: each has its own.")
    define_cells(cells)
    threads = os.cpu_count() or 1
    sessions = {
        name: Sessions(
            _step(run, series, "elman serve"),
            store or str(run / "sessions.db"),
            most=most,
            every=every,
            threads=threads,
        )
        for name, run in zip(names, runs, strict=True)
    }
    limits = Limits(rate=rate)
    if len(runs) == 1:
        app: Any = create_app(sessions[names[0]], limits=limits, token=token)
    else:
        app = create_apps(sessions, limits=limits, token=token)
    for name, each in sessions.items():
        if each.engine.why is not None:
            print(f"Note: steps of {name} run in PyTorch, more slowly: {each.engine.why}", file=sys.stderr)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", ws_max_size=1_000_000, timeout_graceful_shutdown=10
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    listening.listen(config.backlog)  # who asks as soon as it is said where waits, and is not refused
    print(f"Serving {', '.join(map(str, runs))} at http://{host}:{listening.getsockname()[1]}", flush=True)
    server.run([listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _step(run: Path, series: str | None, command: str) -> Causal:
    """What one step of a run does; of a forecaster, of one of its series."""
    model: Any = load(run)
    if series is None:
        return model.causal()
    if not isinstance(model, Forecaster):
        raise OptionError(f"{command}: --series is for forecasts, {run} holds a {type(model).__name__}. Leave it out.")
    return model.causal(series)


def _bytes(count: int) -> str:
    return f"{count} bytes" if count < 10_000 else f"{count / 1000:.1f} kB"


def _and(count: int | None, what: str) -> str:
    return "" if count is None else f", {_bytes(count)}{what}"
