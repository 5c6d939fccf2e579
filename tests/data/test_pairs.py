"""Pairs with a text: from lines, tables, sounds and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elman.data.audio import log_mel, read_wav, triangles
from elman.data.examples import Columns
from elman.data.pairs import read_pairs
from elman.data.pictures import Pictures, read_picture
from elman.errors import DataError

soundfile = pytest.importorskip("soundfile")
Image = pytest.importorskip("PIL.Image")


def tone(hertz: float, rate: int = 8000, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def test_lines_of_two_files_are_pairs(tmp_path: Path):
    (tmp_path / "a.de").write_text("ein Hund\neine Katze\n", "utf-8")
    (tmp_path / "a.en").write_text("a dog\r\na cat", "utf-8")
    pairs = read_pairs(tmp_path / "a.de", tmp_path / "a.en", Columns())
    assert (pairs.X, pairs.y) == (["ein Hund", "eine Katze"], ["a dog", "a cat"])


def test_a_table_names_sounds_and_pictures_from_its_own_folder(tmp_path: Path):
    soundfile.write(tmp_path / "high.wav", tone(2000), 8000)
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "table.csv").write_text("file,text\nhigh.wav,beep\ngrey.png,fog\nno file,words\n")
    pairs = read_pairs(tmp_path / "table.csv", None, Columns(("file",), "text"))
    assert pairs.y == ["beep", "fog", "words"]
    assert np.array_equal(pairs.X[0], log_mel(tone(2000), 8000)) or np.allclose(
        pairs.X[0],
        log_mel(tone(2000), 8000),
        atol=0.2,  # the file has 16 bits
    )
    assert np.array_equal(pairs.X[1], np.full((4, 6, 3), 7))
    assert pairs.X[2] == "no file"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.wav", None, r"row 2: .*gone.wav: no such file"),
        ("bad.wav", b"RIFF but no sound", r"row 2: .*bad.wav: must be a sound file"),
        ("gone.png", None, r"row 2: .*gone.png: no such file"),
        ("bad.png", b"\x89PNG and no picture", r"row 2: .*bad.png: must be a picture"),
    ],
)
def test_a_broken_file_is_told_with_its_row(tmp_path: Path, name: str, content: bytes | None, said: str):
    soundfile.write(tmp_path / "good.wav", tone(500), 8000)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "table.csv").write_text(f"file,text\ngood.wav,a\n{name},b\n")
    with pytest.raises(DataError, match=said):
        read_pairs(tmp_path / "table.csv", None, Columns(("file",), "text"))


def test_a_column_of_numbers_is_told(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("weight,words\n0.5,light\n70,heavy\n")
    with pytest.raises(DataError, match=r"'weight' must hold texts, .* got the number 0\.5\. Name"):
        read_pairs(tmp_path / "rows.csv", None, Columns(("weight",), "words"))


def test_files_that_are_not_aligned_are_told(tmp_path: Path):
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"expected a line for each of the 2 in .*b, got 3\. Align"):
        read_pairs(tmp_path / "a", tmp_path / "b", Columns())
    (tmp_path / "b").write_text("1\n\n3\n")
    with pytest.raises(DataError, match="b: line 2 is empty"):
        read_pairs(tmp_path / "a", tmp_path / "b", Columns())


# -- sounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_heard_in_the_band_around_it(hertz: float):
    """Against silence before it: the mean over time is taken away, so that a steady tone alone is nowhere."""
    heard = log_mel(np.concatenate([np.zeros(4000, np.float32), tone(hertz)]), 8000)
    mel = 2595 * np.log10(1 + hertz / 700)
    top = 2595 * np.log10(1 + 4000 / 700)
    assert abs(int(heard[-20].argmax()) - (mel / top * 41 - 1)) <= 1
    assert np.allclose(heard.mean(0), 0, atol=1e-4)
    assert heard.shape == (101, 40)


def test_the_triangles_share_out_what_lies_between_their_corners():
    weights = triangles(16000, 2048, 20)
    inner = weights[:, (weights.argmax(1)[0] + 1) : weights.argmax(1)[-1]]
    assert np.allclose(inner.sum(0), 1, atol=0.05)


def test_several_channels_are_their_mean(tmp_path: Path):
    left, right = tone(400), tone(700)
    soundfile.write(tmp_path / "both.wav", np.stack([left, right], 1), 8000, subtype="FLOAT")
    samples, rate = read_wav(tmp_path / "both.wav")
    assert rate == 8000
    assert np.allclose(samples, (left + right) / 2, atol=1e-6)


# -- pictures ------------------------------------------------------------------------------------------------------


def test_pictures_come_to_one_size_and_are_standardised():
    rng = np.random.default_rng(0)
    many = [rng.integers(0, 255, (10, 20, 3), dtype=np.uint8) for _ in range(5)]
    pictures = Pictures.fit(many, 20)
    assert pictures.size == (10, 20)
    rows = np.concatenate([x.numpy() for x in pictures.encode(many, "here")])
    assert np.allclose(rows.mean(0), 0, atol=1e-4)
    assert np.allclose(rows.std(0), 1, atol=1e-3)
    assert Pictures.from_json(pictures.to_json()) == pictures
    flat = np.full((40, 80, 3), 100, np.uint8)  # of another size, of one colour: it stays one colour
    assert np.allclose(pictures.encode([flat], "here")[0].numpy(), pictures.encode([flat[:10, :20]], "here")[0].numpy())


def test_a_picture_with_transparency_or_grey_is_read_as_colours(tmp_path: Path):
    Image.fromarray(np.full((3, 3, 4), 9, np.uint8), "RGBA").save(tmp_path / "clear.png")
    Image.fromarray(np.full((3, 3), 9, np.uint8), "L").save(tmp_path / "grey.png")
    assert {read_picture(tmp_path / name).shape for name in ("clear.png", "grey.png")} == {(3, 3, 3)}
