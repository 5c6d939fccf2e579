"""Makes the data of `elman demo` from the shared data sets: `python benchmarks/make_demos.py FOLDER`.

FOLDER holds the folders speech, tagging, translation, captioning and language of the shared data. What is taken from
each, and by whose leave, is told in src/elman/data/shipped/README.md. The output is the same, byte by byte, each time.
"""

import gzip
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from elman.data.audio import log_mel
from elman.data.text_file import read_lines

TARGET = Path(__file__).parents[1] / "src" / "elman" / "data" / "shipped"
STEP = 0.1
"""of a log energy, so that it fits into 8 bits"""


def main(folder: Path) -> None:
    digits(folder / "speech" / "fsdd_8khz_int16.npz")
    sentences(folder / "tagging" / "ud_ewt")
    names(folder / "translation" / "names.en-fr-de-es.tsv")
    emoji(folder / "captioning" / "emoji")
    play(folder / "language" / "tinyshakespeare.txt.gz")


def digits(source: Path) -> None:
    """Recordings 0-4 of each speaker and digit to judge by, as the data set has it, 5-14 to learn from."""
    with np.load(source) as data:
        audio, ends, digit, index = (data[name] for name in ("audio", "offsets", "digit", "index"))
    for part, chosen in {"train": (index >= 5) & (index < 15), "test": index < 5}.items():
        clips = [
            log_mel(audio[ends[i] : ends[i + 1]] / np.float32(2**15), 8000, bands=20) for i in np.flatnonzero(chosen)
        ]
        X = np.clip(np.rint(np.concatenate(clips) / STEP), -128, 127).astype(np.int8)
        lengths = np.array([len(clip) for clip in clips], np.int16)
        np.savez_compressed(TARGET / f"spoken_digits_{part}.npz", X=X, lengths=lengths, y=digit[chosen])


def sentences(folder: Path) -> None:
    """The first 3000 sentences of the training part and the first 500 of the test part, word and part of speech."""
    for part, count in {"train": 3000, "test": 500}.items():
        lines = read_lines(folder / f"en_ewt-{part}.form_upos_xpos.tsv.gz", "make_demos")
        blocks = [list(block) for filled, block in groupby(lines, bool) if filled][:count]
        text = "\n".join("".join("\t".join(line.split("\t")[:2]) + "\n" for line in block) for block in blocks)
        pack(f"english_web_{part}.conll.gz", text)


def names(source: Path) -> None:
    """English and Spanish names of emoji."""
    table = pd.read_csv(source, sep="\t", keep_default_na=False)
    pack("emoji_names.tsv.gz", table[["en", "es"]].to_csv(sep="\t", index=False))


def emoji(folder: Path) -> None:
    """Of people and faces, whose names share their words: of the others hardly a caption could be learnt."""
    table = pd.read_csv(folder / "captions.tsv", sep="\t", keep_default_na=False)
    chosen = table["category"].isin(["People & Body", "Smileys & Emotion"]).to_numpy()
    with np.load(folder / "emoji32_rgb.npz") as data:
        np.savez_compressed(TARGET / "emoji.npz", X=data["images"][chosen], y=table["en"].to_numpy(str)[chosen])


def play(source: Path) -> None:
    """The first 500,000 characters."""
    pack("shakespeare.txt.gz", "\n".join(read_lines(source, "make_demos"))[:500_000])


def pack(name: str, text: str) -> None:
    (TARGET / name).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
