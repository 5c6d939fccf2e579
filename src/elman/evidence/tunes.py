"""Tunes that a language model of ABC notation writes: how sound they are, and one as text and as a piano roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from elman.data.abc import Tune, is_tune, read_tune
from elman.errors import DataError
from elman.estimators import LanguageModel
from elman.evidence.language_plots import ROW, plot_tune, sample_html
from elman.evidence.plots import TRUTH, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGIN, END = "X:", "\n\n"
"""what every tune begins and ends with"""
TUNES = 10
"""that are written for the report"""
LONGEST = 800
"""tokens of one, should it not end by itself"""
TEMPERATURE = 0.7
"""below 1, for one slip in a bar spoils a tune"""


def tune_sections(model: LanguageModel, test: Sequence[str]) -> dict[str, str]:
    """A section of the report: the soundest tune that the model wrote, and how sound all of them are."""
    written = [write_tune(model, seed) for seed in range(TUNES)]
    read = [(text, tune) for text in written if (tune := readable(text)) is not None]
    chosen, best = max(read, key=lambda pair: _soundness(pair[1]), default=(written[0], None))
    parts = [sample_html("", chosen.strip())]
    if best is not None:
        figure = plot_tune("What it wrote, as a piano roll", best)
        parts.append(_picture(figure, "Piano roll of the tune above: pitch against time"))
    parts.append(f'<p class="quiet">{_told(len(written), [tune for _, tune in read], test)}</p>')
    true = next(filter(None, map(readable, test)), None)
    if true is not None:
        figure = plot_tune("For comparison: a tune that it has not seen", true, TRUTH)
        parts.append(_picture(figure, "Piano roll of a test tune: pitch against time"))
    return {"A tune": "\n".join(parts)}


def write_tune(model: LanguageModel, seed: int) -> str:
    """What the model writes from a tune's first letters to the empty line that ends it, or until it is too long."""
    text = BEGIN
    for piece in model.tokens(BEGIN, max_new_tokens=LONGEST, seed=seed, temperature=TEMPERATURE):
        text += piece
        if END in text:
            return text[: text.index(END) + len(END)]
    return text


def readable(text: str) -> Tune | None:
    """The tune, if the text is one that has an end and can be read."""
    if not is_tune(text) or not text.endswith(END):
        return None
    try:
        return read_tune(text)
    except DataError:
        return None


def fullness(tunes: Sequence[Tune]) -> float:
    """The share of bars that are as long as the metre says; of no bar, 0."""
    return sum(tune.full_bars() for tune in tunes) / max(1, sum(len(tune.bars) - 1 for tune in tunes))


def _soundness(tune: Tune) -> tuple[bool, float]:
    """By which tunes compare: one of a few bars is none."""
    return len(tune.bars) > ROW, fullness([tune])


def _told(count: int, tunes: Sequence[Tune], test: Sequence[str]) -> str:
    if not tunes:
        return f"Of {count} tunes that it wrote, none can be read from beginning to end. This is the first."
    true = list(filter(None, map(readable, test)))
    beside = f", beside {fullness(true):.0%} in the test tunes, where upbeats count as short" if true else ""
    return (
        f"Of {count} tunes that it wrote, drawn at temperature {TEMPERATURE}, the one with the greatest share of full "
        f"bars. {len(tunes)} of them can be read from beginning to end; {fullness(tunes):.0%} of their bars are as "
        f"long as their metre says{beside}."
    )


def _picture(figure: Figure, words: str) -> str:
    return f'<div class="plots wide"><figure>{to_svg(figure, words)}</figure></div>'
