"""`elman generate`: learn from a file, or write from what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli import options
from elman.cli.app import command

LEARN = {"test", "share", "analyzer", "cell", "hidden_size", "layers", "steps", "more", "title", "out", "resume"}
"""options that mean something for a file alone"""
SAMPLE = {"temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"}
WRITE = SAMPLE | {"prompt", "max_new_tokens", "greedy"}
"""options that mean something for a run folder alone; of them, those by which a token is drawn"""


@command
def generate(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|RUN", help="Text (.txt), tunes (.abc), piano rolls (.npz, .mat); or a run folder."
        ),
    ],
    test: options.Test = None,
    share: options.Share = 0.1,
    analyzer: Annotated[str, typer.Option(help="Tokens of a text: character, word, spaced or bpe.")] = "character",
    cell: options.Cell = None,
    cells: options.Cells = None,
    hidden_size: options.HiddenSize = None,
    layers: options.Layers = None,
    steps: options.Steps = None,
    more: options.More = None,
    out: options.Out = None,
    resume: options.Resume = False,
    prompt: Annotated[str | None, typer.Option(help="RUN: text to go on from.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="RUN: tokens, or frames, to write.")] = 200,
    greedy: Annotated[bool, typer.Option("--greedy", help="RUN: take the most probable token each time.")] = False,
    temperature: Annotated[float, typer.Option(help="RUN: below 1 bolder, above 1 flatter.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="RUN: only the k most probable; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="RUN: only the most probable that together have p.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="RUN: none below p times the greatest probability.")] = 0.0,
    typical_p: Annotated[float, typer.Option(help="RUN: only the most typical that together have p.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="RUN: above 1 avoids what has occurred.")] = 1.0,
    seed: options.Seed = 0,
    title: options.Title = None,
) -> None:
    """Learn to continue FILE, judge it, write a run folder; or print what the model in RUN writes, token by token."""
    from elman.cli.jobs import build, define_cells, run_folder
    from elman.cli.language_jobs import run_language, write
    from elman.errors import OptionError

    trained = source.is_dir()
    for option in context.command.params:
        given = getattr(context.get_parameter_source(option.name or ""), "name", None) == "COMMANDLINE"
        if given and option.name in (LEARN if trained else WRITE):
            does, wanted = ("learns from a FILE", "a run folder") if trained else ("writes from a RUN folder", "a file")
            raise OptionError(f"elman generate: {option.opts[0]} is for when it {does}, got {wanted}: {source}.")
    if trained:
        define_cells(cells)
        drawn = {name: context.params[name] for name in SAMPLE}
        write(source, prompt, max_new_tokens=max_new_tokens, seed=seed, do_sample=not greedy, **drawn)
        return
    shape = {"hidden_size": hidden_size, "num_layers": layers, "analyzer": analyzer}
    model = build("LanguageModel", cell, cells, more, **shape, max_steps=steps, random_state=seed)
    folder = run_folder("generate", source, out, resume=resume, share=share)
    run_language(model, source, test, folder, title=title or source.name, share=share, resume=resume)
    print(f"\nReport: {folder / 'report.html'}\nMore:   elman generate {folder} --max-new-tokens 500")
