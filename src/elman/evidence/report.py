"""A run's report: one HTML page with everything inside, and a short card in Markdown, from the same data."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from string import Template
from typing import Any

from elman.evidence.board import Board
from elman.evidence.card import About, card, flat, told, unset
from elman.evidence.plots import ForecastPlot, plot_forecast, plot_training, to_svg
from elman.files import leads
from elman.training.run import RunFolder

_MOST_PLOTS = 6


@dataclass(frozen=True)
class Report:
    """What a report shows; an empty part is left out.

    scoreboard: None before there is one; plots: the first six are drawn; training: the records of `metrics.jsonl`;
    configuration: setting → value, nested ones are flattened with dots; notes: sentences for the reader; sections:
    heading → HTML of what else there is to see, its texts escaped already; about: data, split and limits, for the card.
    All other texts may come from a user's file: they are escaped.

    >>> Report("Demand", notes=["<b>"]).to_html().count("&lt;b&gt;")
    1
    """

    title: str
    scoreboard: Board | None = None
    plots: Sequence[ForecastPlot] = ()
    training: Sequence[Mapping[str, Any]] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    sections: Mapping[str, str] = field(default_factory=dict)
    about: About | None = None

    def to_html(self, manifest: Mapping[str, Any] | None = None) -> str:
        """`report.html`: self-contained, no script, nothing fetched; follows the reader's light or dark theme.

        manifest: of the run, for files and the data's hash; None: of a report that is in no run folder
        """
        template = Template(_page())
        verdict, parts = "", []
        if self.scoreboard is not None:
            mark = " win" if self.scoreboard.network_wins else ""
            verdict = f'<p class="verdict{mark}">{escape(self.scoreboard.sentence())}</p>'
            parts.append(_section("Scoreboard", self.scoreboard.to_html()))
        if self.plots:
            pictures = "".join(_picture(plot) for plot in self.plots[:_MOST_PLOTS])
            parts.append(_section("Forecasts of the last window", f'<div class="plots">{pictures}</div>'))
        parts += [_section(heading, body) for heading, body in self.sections.items()]
        curve = plot_training(self.training)
        if curve is not None:
            svg = to_svg(curve, "Loss against training time")
            parts.append(_section("Training", f'<div class="plots"><figure>{svg}</figure></div>'))
        if self.notes:
            parts.append(_section("Notes", _listed(self.notes)))
        parts += [_section(heading, _listed(lines)) for heading, lines in told(self.about, manifest).items()]
        if self.configuration:
            rows = "".join(
                f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>'
                for key, value in flat(self.configuration)
            )
            others = "".join(f'<p class="quiet">{escape(line)}</p>' for line in unset(self.configuration))
            table = f'<div class="scroll"><table class="settings">{rows}</table></div>{others}'
            parts.append(_section("Configuration", table))
        return template.substitute(
            title=escape(self.title), verdict=verdict, sections="\n".join(parts), version=escape(_version())
        )

    def to_markdown(self) -> str:
        """The card, of a report that is in no run folder."""
        return card(self, {})

    def write(self, run: RunFolder) -> None:
        """`report.html`, `card.md` and, where there is a scoreboard, `scoreboard.json` into a run folder."""
        if not leads():
            return
        manifest = run.manifest()
        run.write_text("report.html", self.to_html(manifest))
        run.write_text("card.md", card(self, manifest))
        if self.scoreboard is not None:
            run.write_text("scoreboard.json", self.scoreboard.to_json())


def page_style() -> str:
    """The colours of a report, light and dark, as the CSS variables that its pictures name."""
    page = _page()
    return page[page.index(":root") : page.index("* {")].strip()


def _page() -> str:
    return resources.files("elman.evidence").joinpath("report.html").read_text(encoding="utf-8")


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _listed(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _picture(plot: ForecastPlot) -> str:
    words = f"Forecast of {plot.title}: history, median, 80 % and 95 % intervals" + (
        ", and what came" if plot.truth is not None else ""
    )
    return f"<figure>{to_svg(plot_forecast(plot), words)}</figure>"


def _version() -> str:
    try:
        return importlib.metadata.version("elman")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
