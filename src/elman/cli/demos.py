"""`elman demo NAME`: each verb on data that ship with elman, as anybody would run it on a file of his own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import typer

from elman.cli.jobs import free_folder, run_demo
from elman.data.examples import Columns, read_examples
from elman.errors import OptionError, suggest

SHIPPED = Path(str(resources.files("elman.data") / "shipped"))
"""sources and licences are in its README.md"""
SPOKEN = {"train": 600, "test": 100}
"""strings of digits to learn from and to judge by"""


@dataclass(frozen=True)
class Demo:
    """A verb, and what it is given.

    about    what there is to see, in a line
    words    files and options; {shipped} is the folder of the data, {made} one for what `prepare` makes
    prepare  makes files in a folder before the verb runs
    """

    about: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None] | None = None


def join_digits(folder: Path) -> None:
    """Strings of 3 to 5 spoken digits: the log-mel steps of clips, one after the other, and the digits as a text.

    The strings to judge by are joined from other recordings than those to learn from.
    """
    folder.mkdir(parents=True)
    for seed, (part, count) in enumerate(SPOKEN.items()):
        clips, digits, _ = read_examples(SHIPPED / f"spoken_digits_{part}.npz", Columns())
        dice = np.random.default_rng(seed)
        strings = [dice.choice(len(clips), dice.integers(3, 6)) for _ in range(count)]
        sounds = [np.concatenate([clips[i] for i in string]) for string in strings]
        np.savez(
            folder / f"digit_strings_{part}.npz",
            X=np.concatenate(sounds),
            lengths=np.array([len(sound) for sound in sounds]),
            y=np.array(["".join(map(str, digits[string])) for string in strings]),
        )


# Steps are few, so that the baselines, of which the convolution is the slowest, are done within two minutes, too.
DEMOS = {
    "classify": Demo(
        "Which digit is spoken: 600 recordings to learn from, 300 to judge by.",
        ("{shipped}/spoken_digits_train.npz", "--test", "{shipped}/spoken_digits_test.npz", "--steps", "250"),
    ),
    "tag": Demo(
        "The part of speech of each word in English sentences from the web.",
        ("{shipped}/english_web_train.conll.gz", "--test", "{shipped}/english_web_test.conll.gz", "--steps", "400"),
    ),
    "translate": Demo(
        "The names of emoji, English to Spanish.",
        ("{shipped}/emoji_names.tsv.gz", "--input", "en", "--text", "es", "--steps", "400"),
    ),
    "transcribe": Demo(
        "Strings of 3 to 5 spoken digits, joined from recordings, without being told where one ends.",
        ("{made}/digit_strings_train.npz", "--test", "{made}/digit_strings_test.npz", "--steps", "200"),
        join_digits,
    ),
    "caption": Demo(
        "The names of people and faces among the emoji, from their pictures.",
        ("{shipped}/emoji.npz", "--steps", "300"),
    ),
    "generate": Demo(
        "Text in the manner of Shakespeare, letter by letter.",
        ("{shipped}/shakespeare.txt.gz", "--hidden-size", "128", "--steps", "1000"),
    ),
}
"""by verb; `elman demo` without a name, or `forecast`, is in `jobs.run_demo`"""


def list_demos() -> None:
    """Prints every demo and what there is to see."""
    print(f"{'forecast':12}Compact discs sold per day, nine customer segments. This one runs without a name.")
    for name, demo in DEMOS.items():
        print(f"{name:12}{demo.about}")


def start_demo(name: str, out: Path | None, more: Sequence[str] = ()) -> None:
    """Runs a demo by its verb's own command, which is printed first; `more` options come last and so win.

    Raises `OptionError` for a name that is not known.
    """
    if name == "forecast":
        run_demo(out)
        return
    if name not in DEMOS:
        raise OptionError(f"elman demo: no demo {name!r}, {suggest(name, ('forecast', *DEMOS))}")
    from elman.cli.app import app

    demo, folder = DEMOS[name], out or free_folder(Path("runs") / f"demo-{name}")
    made = free_folder(folder.with_name(f"{folder.name}-data"))
    places = {"shipped": os.path.relpath(SHIPPED), "made": str(made)}
    words = [name, *(word.format_map(places) for word in demo.words), "--out", str(folder), *more]
    if demo.prepare is not None:
        demo.prepare(made)
    print(f"{demo.about}\nThe same as: elman {shlex.join(words)}\n", flush=True)
    if code := typer.main.get_command(app).main(words, prog_name="elman", standalone_mode=False):
        raise typer.Exit(code)
