"""Makes the data of `elman demo` from the shared data sets: `python benchmarks/make_demos.py FOLDER WHEEL`.

FOLDER holds the folders speech, tagging, translation, captioning, language and tabular of the shared data, WHEEL is
that of the package music21 10.5.1. What is taken from each, and by whose leave, is told in
src/elman/data/shipped/README.md. The output is the same, byte by byte, each time.
"""

import gzip
import re
import sys
import zipfile
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from elman.data.abc import FIELD, read_tune, split_tunes, tokens
from elman.data.audio import log_mel
from elman.data.text_file import read_lines
from elman.errors import DataError

TARGET = Path(__file__).parents[1] / "src" / "elman" / "data" / "shipped"
STEP = 0.1
"""of a log energy, so that it fits into 8 bits"""
WEEKS = 39
"""in which a customer's purchases are seen, and as many in which they are to be foretold"""
HANDS = {"lh": "left", "rh": "right"}
DANCES = ("Reel", "Hornpipe", "Jig", "Slip jig", "Strathspey", "Clog")


def main(folder: Path, wheel: Path) -> None:
    digits(folder / "speech" / "fsdd_8khz_int16.npz")
    sentences(folder / "tagging" / "ud_ewt")
    names(folder / "translation" / "names.en-fr-de-es.tsv")
    emoji(folder / "captioning" / "emoji")
    play(folder / "language" / "tinyshakespeare.txt.gz")
    customers(folder / "tabular" / "CDNOW_master.txt.gz")
    gestures(folder / "tagging" / "gesture_phase")
    dances(wheel)


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


def customers(source: Path) -> None:
    """Every fifth customer: days with a purchase and discs bought in each week, and later days with a purchase."""
    columns = ["customer", "date", "cds", "dollars"]
    sales = pd.read_csv(source, sep=r"\s+", names=columns, header=0, parse_dates=["date"])
    sales = sales[sales["customer"] % 5 == 0].groupby(["customer", "date"], as_index=False)["cds"].sum()
    row = sales["customer"].to_numpy() // 5 - 1
    week = ((sales["date"] - pd.Timestamp("1997-01-01")).dt.days // 7).to_numpy()
    X, y = np.zeros((row.max() + 1, WEEKS, 2), np.int16), np.zeros(row.max() + 1)
    seen, later = week < WEEKS, (week >= WEEKS) & (week < 2 * WEEKS)
    np.add.at(X, (row[seen], week[seen], 0), 1)
    np.add.at(X, (row[seen], week[seen], 1), sales["cds"].to_numpy()[seen])
    np.add.at(y, row[later], 1)
    np.savez_compressed(TARGET / "cdnow_customers.npz", X=X, y=y)


def gestures(folder: Path) -> None:
    """Where the hands are in two videos of one session, and whether they gesture: the first to learn from."""
    names = {f"{short}{axis}": f"{hand}_{axis}" for short, hand in HANDS.items() for axis in "xyz"}
    for part, video in {"train": "a1", "test": "a2"}.items():
        table = pd.read_csv(folder / f"{video}_raw.csv")
        found = (
            table.rename(columns=names)[list(names.values())].round(3).assign(gesture=(table["phase"] != "Rest") * 1)
        )
        pack(f"gestures_{part}.csv.gz", found.to_csv(index=False))


def dances(wheel: Path) -> None:
    """The dances of Ryan's Mammoth Collection, but for those with chords, or bars longer than the metre says."""
    with zipfile.ZipFile(wheel) as package:
        files = sorted(name for name in package.namelist() if re.match(r"music21/corpus/ryansMammoth/.*\.abc$", name))
        texts = [package.read(name).decode("utf-8", "replace") for name in files]
    kept: list[str] = []
    for text in (tune for file in texts for tune in split_tunes(file)):
        try:
            kept += bare(text, len(kept) + 1)
        except DataError:  # letters lost in the mail from which some were taken
            continue
    pack("dances.abc.gz", "".join(kept))


def bare(text: str, number: int) -> list[str]:
    """What was printed of a tune in 1883: dance, metre, key, notes and bars, four to a line; [] if it is left out."""
    tune = read_tune(text)
    lines = [line.split("%")[0].strip() for line in text.split("\n")]
    begin = next(i for i, line in enumerate(lines) if line.startswith("K:")) + 1
    found = list(tokens(" ".join(line for line in lines[begin:] if line)))
    dance = tune.header.get("R", "").replace("slipjig", "slip jig").capitalize()
    key = re.match(r"[A-G][#b]? ?[A-Za-z]*$", tune.header["K"])
    odd = {kind for kind, _ in found} & {"field", "chord", "bars_of_rest"} or any(map(FIELD.match, lines[begin:]))
    if dance not in DANCES or not key or odd or tune.metre is None or tune.full_bars() < 0.6 * (len(tune.bars) - 1):
        return []
    if any(after - before > tune.metre for before, after in pairwise(tune.bars)):
        return []
    head = [f"X:{number}", f"T:{dance}", f"M:{tune.header['M']}", f"L:{tune.header.get('L', '1/8')}", f"K:{key[0]}"]
    new = "\n".join([*head, *four_to_a_line(found)]) + "\n\n"
    return [new] if read_tune(new).notes == tune.notes else []


def four_to_a_line(found: list[tuple[str, str]]) -> list[str]:
    """Bars without ornament and fingering; bar lines side by side are joined."""
    plain = "".join(" " if kind == "space" else "" if kind == "ornament" else text for kind, text in found)
    bars = re.sub(r"(?<=[|:\]]) +(?=[|:\[])", "", plain)
    lines, count = [""], 0
    for kind, text in tokens(bars):
        lines[-1] += f" {text} " if kind == "bar" else text
        count += kind == "bar"
        if kind == "bar" and not count % 4:
            lines.append("")
    return [" ".join(line.split()) for line in lines if line.strip()]


def pack(name: str, text: str) -> None:
    (TARGET / name).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
