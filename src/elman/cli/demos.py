"""`elman demo NAME`: each verb on data that ship with elman, as anybody would run it on a file of his own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import typer

from elman.cli.jobs import free_folder
from elman.data.examples import Columns, read_examples
from elman.errors import OptionError, suggest

SHIPPED = Path(str(resources.files("elman.data") / "shipped"))
"""sources and licences are in its README.md"""
SPOKEN = {"train": 600, "test": 100}
"""strings of digits to learn from and to judge by"""
EMOJI, LEARNED = 24, 476
"""emoji of which two are put into a picture, and how many of their 576 pairs to learn from; the rest judges"""


@dataclass(frozen=True)
class Demo:
    """A verb, and what it is given.

    about    what there is to see, in a line; what stands before a colon is the report's heading
    words    the verb, its files and options; {shipped} is the folder of the data, {made} one for what `prepare` makes
    then     the words of commands to try next; {run} is the folder that the first one left
    prepare  makes files in a folder before the verb runs
    """

    about: str
    words: str
    then: tuple[str, ...]
    prepare: Callable[[Path], None] | None = None

    @property
    def title(self) -> str:
        """The report's heading."""
        return self.about.partition(":")[0].rstrip(".")


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


def pair_emoji(folder: Path) -> None:
    """Pictures of two emoji side by side, and their names; the pairs to judge by are none of those to learn from."""
    folder.mkdir(parents=True)
    pictures, names, _ = read_examples(SHIPPED / "emoji.npz", Columns())
    dice = np.random.default_rng(0)
    kinds = dice.choice(len(pictures), EMOJI, replace=False)
    pairs = dice.permutation([(left, right) for left in kinds for right in kinds])
    for part, chosen in zip(("train", "test"), np.split(pairs, [LEARNED]), strict=True):
        np.savez(
            folder / f"emoji_pairs_{part}.npz",
            X=np.array([np.hstack([pictures[left], pictures[right]]) for left, right in chosen]),
            y=np.array([f"{names[left]} and {names[right]}" for left, right in chosen]),
        )


# Steps are few, so that the baselines, of which the convolution is the slowest, are done within two minutes, too.
DEMOS = {
    "forecast": Demo(
        "Compact discs sold per day, nine customer segments: the next two weeks.",
        "forecast {shipped}/cdnow_daily.csv --time date --target cds --series segment --horizon 14",
        (
            "predict {run} --level 50 --level 90",
            "forecast {shipped}/cdnow_daily.csv --time date --target cds --series segment --horizon 28 --cell gru",
        ),
    ),
    "classify": Demo(
        "Which digit is spoken: 600 recordings to learn from, 300 to judge by.",
        "classify {shipped}/spoken_digits_train.npz --test {shipped}/spoken_digits_test.npz --steps 250",
        ("predict {run} {shipped}/spoken_digits_test.npz",),
    ),
    "regress": Demo(
        "How often a customer will buy in nine months, from the nine before: 4,714 customers, week by week.",
        "regress {shipped}/cdnow_customers.npz --steps 300",
        ("predict {run} {shipped}/cdnow_customers.npz",),
    ),
    "tag": Demo(
        "The part of speech of each word in English sentences from the web.",
        "tag {shipped}/english_web_train.conll.gz --test {shipped}/english_web_test.conll.gz --steps 400",
        ("predict {run} {shipped}/english_web_test.conll.gz",),
    ),
    "translate": Demo(
        "The names of emoji, English to Spanish.",
        "translate {shipped}/emoji_names.tsv.gz --input en --text es --steps 400",
        ("predict {run} {shipped}/emoji_names.tsv.gz",),
    ),
    "transcribe": Demo(
        "Strings of 3 to 5 spoken digits: joined from recordings, without being told where one ends.",
        "transcribe {made}/digit_strings_train.npz --test {made}/digit_strings_test.npz --steps 200",
        ("predict {run} {made}/digit_strings_test.npz",),
        join_digits,
    ),
    "caption": Demo(
        "What is in a picture: two of 24 emoji, side by side, in pairs that were not learned from.",
        "caption {made}/emoji_pairs_train.npz --test {made}/emoji_pairs_test.npz --hidden-size 128 --steps 900",
        ("predict {run} {made}/emoji_pairs_test.npz",),
        pair_emoji,
    ),
    "generate": Demo(
        "Text in the manner of Shakespeare, letter by letter.",
        "generate {shipped}/shakespeare.txt.gz --hidden-size 192 --steps 1500",
        ("generate {run} --prompt ROMEO: --temperature 0.7",),
    ),
    "tune": Demo(
        "Reels, hornpipes and jigs, letter by letter in ABC notation: what it composes is drawn as a piano roll, too.",
        "generate {shipped}/dances.abc.gz --hidden-size 192 --steps 1500",
        ("generate {run} --prompt X: --temperature 0.7 --seed 1",),
    ),
    "watch": Demo(
        "When hands move, learned from hands at rest: where a camera saw them in one video, judged by the next.",
        "watch {shipped}/gestures_train.csv.gz --test {shipped}/gestures_test.csv.gz --label gesture "
        "--method autoencoder --window 16 --steps 300",
        ("predict {run} {shipped}/gestures_test.csv.gz",),
    ),
}
"""by name; `elman demo` without one is `forecast`"""
CONTENTS = {
    "model.safetensors": "weights",
    "config.json": "what was trained, and how",
    "columns.json": "by which columns the file was read",
    "metrics.jsonl": "loss and gradient norm as training went on",
    "manifest.json": "versions, seeds, hashes of data and model, the command",
    "forecast.csv": "what is forecast, with 80 % and 95 % intervals",
    "report.html": "scoreboard and pictures: open it in a browser",
    "card.md": "the same in a page of text",
    "scoreboard.json": "the same as data",
    "backtest": "the run that was judged; it saw nothing of the test windows",
}
"""what is what in a run folder"""


def list_demos() -> None:
    """Prints every demo and what there is to see."""
    for name, demo in DEMOS.items():
        print(f"{name:12}{demo.about}")


def start_demo(name: str, out: Path | None, more: Sequence[str] = ()) -> None:
    """Runs a demo by its verb's own command, which is printed first; `more` options come last and so win.

    Raises `OptionError` for a name that is not known.
    """
    if name not in DEMOS:
        raise OptionError(f"elman demo: no demo {name!r}, {suggest(name, DEMOS)}")
    from elman.cli.app import app

    demo, folder = DEMOS[name], out or free_folder(Path("runs") / f"demo-{name}")
    made = free_folder(folder.with_name(f"{folder.name}-data"))
    places = {"shipped": os.path.relpath(SHIPPED), "made": str(made), "run": str(folder)}
    words = [*_filled(demo.words, places), "--title", demo.title, "--out", str(folder), *more]
    if demo.prepare is not None:
        demo.prepare(made)
    print(f"{demo.about}\nThe same as: elman {shlex.join(words)}\n", flush=True)
    if code := typer.main.get_command(app).main(words, prog_name="elman", standalone_mode=False):
        raise typer.Exit(code)
    _tell_next(demo, folder, places)


def _tell_next(demo: Demo, folder: Path, places: dict[str, str]) -> None:
    """What is in the run folder, and what to try next."""
    print(f"\nThe run folder {folder}:")
    for path in sorted(folder.iterdir()):
        print(f"  {path.name + ('/' if path.is_dir() else ''):22}{CONTENTS.get(path.name, '')}")
    command = "elman" if shutil.which("elman") else os.path.relpath(sys.argv[0])
    print("\nTry next:")
    for words in demo.then:
        print(f"  {command} {shlex.join(_filled(words, places))}")
    print(f"  python -m webbrowser -t {(folder / 'report.html').resolve().as_uri()}")


def _filled(words: str, places: dict[str, str]) -> list[str]:
    """The words of a command with its places filled in, which may hold spaces."""
    return [word.format_map(places) for word in words.split()]
