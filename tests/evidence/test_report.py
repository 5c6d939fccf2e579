"""The report: self-contained, escaped, nothing lost, and its pictures drawn from odd data without a crash."""

from __future__ import annotations

import re
import sys
from html import escape
from html.parser import HTMLParser
from subprocess import run

import numpy as np
import pytest

import elman
from elman.errors import DataError, ShapeError
from elman.evidence.baselines import Forecast
from elman.evidence.card import About, told
from elman.evidence.label_study import Examples, label_study
from elman.evidence.plots import FORECAST, ForecastPlot, plot_forecast, plot_training, to_svg
from elman.evidence.report import Report
from elman.evidence.scoreboard import LEVELS, Scoreboard

EVIL = "<script>alert('$x')</script> & \"q\" $a_b$"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Balance(HTMLParser):
    """Collects tags that are opened and not closed, and every attribute."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def quantiles(steps=6):
    return 10 + np.arange(steps)[:, None] + np.array([-4.0, -2.0, 0.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def page():
    truth = np.arange(12.0).reshape(2, 6) + 5
    forecasts = {name: Forecast(np.stack([quantiles()] * 2)) for name in (EVIL, "LSTM")}
    board = Scoreboard.build(forecasts, truth, [np.arange(20.0)] * 2, 1, network="LSTM")
    plots = [ForecastPlot(EVIL, np.arange(30.0), quantiles(), LEVELS, truth[0], unit=EVIL)] * 8
    records = [{"epoch": n, EVIL + "loss": 2.0 / n} for n in range(1, 4)]
    settings = {EVIL: EVIL, "cell": {"name": "lstm", "sizes": [1, 2]}, "nothing": None}
    return Report(EVIL, board, plots, records, settings, [EVIL])


def test_the_page_is_whole_and_fetches_nothing(page):
    html = page.to_html()
    parser = Balance()
    parser.feed(html)
    assert not parser.open
    assert not parser.tags & {"script", "link", "img", "iframe", "object"}
    for name, value in parser.attributes:
        assert name not in {"src", "onload", "onclick"}
        assert not (name.endswith("href") and not (value or "").startswith("#"))
    assert not re.search(r"url\((?!#)", html) and "@import" not in html
    assert html.count("<svg") == 6 + 1, "six forecasts at most, and the training curve"
    assert "$title" not in html and "var(--forecast)" in html


def test_all_user_text_is_escaped(page):
    html = page.to_html()
    assert "<script" not in html and html.count("&lt;script&gt;") >= 5
    card = page.to_markdown()
    assert "<script" not in card and "cell.sizes | [1, 2]" in card and "null" not in card
    assert "Without a value of its own: nothing." in card and "Without a value of its own: nothing." in html


def test_verdict_heads_page_and_card(page):
    assert "forecast are equally good: prefer the simpler" in page.to_html()
    assert "forecast are equally good: prefer the simpler" in page.to_markdown()


def test_an_empty_report_is_still_a_page():
    html = Report("Nothing yet").to_html()
    assert "Nothing yet" in html and "<h2>" not in html


def test_the_same_data_give_the_same_page(page):
    assert page.to_html() == page.to_html()


def test_bands_and_lines_are_where_the_numbers_are():
    axes = plot_forecast(ForecastPlot("a", np.arange(11.0), quantiles(), LEVELS, np.full(6, 12.0))).axes[0]
    median = next(line for line in axes.lines if line.get_label() == "median forecast")
    # The line grows out of the last known value (10, at step 0); step h of the forecast is drawn at step h.
    assert np.asarray(median.get_xdata()).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert np.asarray(median.get_ydata()).tolist() == [10, *quantiles()[:, 2]]
    wide, narrow = (c.get_paths()[0].get_extents() for c in axes.collections[:2])
    assert (wide.ymin, wide.ymax, narrow.ymax) == (6.0, 19.0, 17.0)
    low, high = axes.get_ylim()
    assert low < 0 and high > 19, "nothing is clipped"


@pytest.mark.parametrize(
    "history", [[1.0], [np.nan] * 5, [1.0, np.nan, 3.0, np.nan], [0.0] * 50, [1e12, -1e12, 1e12]], ids=str
)
def test_odd_histories_are_drawn(history):
    svg = to_svg(plot_forecast(ForecastPlot("x", history, quantiles(1), LEVELS)), "x")
    assert svg.startswith("<svg") and FORECAST not in svg


def test_dates_and_missing_levels():
    days = np.arange("2024-02-20", "2024-03-07", dtype="datetime64[D]")
    figure = plot_forecast(ForecastPlot("x", np.arange(10.0), quantiles()[:, 2:3], (0.5,), None, days, "units"))
    assert figure.axes[0].get_ylabel() == "units" and not figure.axes[0].collections
    assert "var(--quiet)" in to_svg(figure, "x")


def test_training_curve_skips_what_is_not_a_number():
    records = [{"step": 1, "loss": 5.0}, {"step": 2, "loss": float("nan")}, {"step": 3}, {"step": 4, "loss": 0.1}]
    figure = plot_training(records)
    assert figure is not None and plot_training(records[:3]) is None, "a point is no curve"
    axes = figure.axes[0]
    assert axes.get_xlabel() == "step" and axes.get_yscale() == "log"
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [5.0, 0.1]


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="history"):
        plot_forecast(ForecastPlot("x", [], quantiles(), LEVELS))
    with pytest.raises(ShapeError, match="quantiles"):
        plot_forecast(ForecastPlot("x", [1.0], quantiles()[:, :2], LEVELS))
    with pytest.raises(ShapeError, match="times"):
        plot_forecast(ForecastPlot("x", [1.0], quantiles(), LEVELS, times=[1, 2]))


def test_importing_evidence_loads_nothing_heavy():
    heavy = ("statsmodels", "sklearn", "matplotlib", "scipy")
    code = f"import sys, elman.evidence; print([name for name in {heavy} if name in sys.modules])"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_card_tells_data_split_limits_seeds_environment_and_the_command(tmp_path):
    import elman
    from elman.evidence.label_study import Examples, label_study

    rng = np.random.default_rng(0)
    X, y = [rng.standard_normal((9, 2)) for _ in range(60)], ["up", "down", "down"] * 20
    model = elman.SequenceClassifier(hidden_size=4, max_steps=5, random_state=7)
    label_study(model, Examples.split(X, y, 0.2, 3), tmp_path / "run", title="Ups | and <downs>")
    card = (tmp_path / "run" / "card.md").read_text()
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == ["Verdicts", "Data", "Split", "Scoreboard", "Limits", "Reproduce", "Configuration"]
    assert "48 sequences to learn from, the longest of 9 steps; a step is 2 numbers." in card
    assert "Classes: down 32, up 16." in card
    assert "12 sequences to judge by: a random share of 0.2, by seed 3, of each class the same." in card
    assert "Only 12 sequences to judge by" in card
    assert "random_state 7" in card
    assert f"torch {elman.training.run.torch.__version__}" in card
    assert model.hash_ and f"{model.hash_}." in card
    assert "```bash\n" in card and "<downs>" not in card


def test_page_and_card_tell_data_and_split_from_the_same_sentences(tmp_path):
    (tmp_path / "more.csv").write_text("x\n")
    report = Report("Demand", about=About(["3 series <a>."], "The last window."))
    manifest = {"command": ["/bin/elman", "forecast", str(tmp_path / "more.csv"), "--seed", "0"], "data_sha256": "abc"}
    page = report.to_html(manifest)
    assert "<h2>Data</h2>" in page and "<h2>Split</h2>" in page
    for line in told(report.about, manifest)["Data"]:
        assert escape(line) in page
    assert "From more.csv." in page and "3 series &lt;a&gt;." in page and "The last window." in page
    assert "From" not in report.to_html({**manifest, "command": ["script.py", *manifest["command"][1:]]})
    assert "<h2>Data</h2>" not in Report("Demand").to_html()


def test_a_run_says_the_same_in_page_and_card(tmp_path):
    rng = np.random.default_rng(0)
    X, y = [rng.standard_normal((6, 1)) for _ in range(30)], np.arange(30) % 2
    model = elman.SequenceClassifier(hidden_size=4, max_steps=3)
    label_study(model, Examples.split(X, y, 0.3, 0), tmp_path / "run", title="toy")
    page, card = ((tmp_path / "run" / name).read_text() for name in ("report.html", "card.md"))
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings.index("Where it errs") < headings.index("Data") < headings.index("Configuration")
    assert "Measured on the 9 sequences that it was judged by" in page and "9 sequences that it was judged by" in card
    assert "a random share of 0.3, by seed 0" in page and "a random share of 0.3, by seed 0" in card
    assert "SHA-256 of what was learned from" in page
