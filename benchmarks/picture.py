"""Draws the picture at the top of the README: `python benchmarks/picture.py`, half a minute."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from elman import Forecaster, judge
from elman.data import read_table
from elman.evidence.plots import plot_forecast
from elman.evidence.study import plots_of

TARGET = Path(__file__).parents[1] / "docs" / "images" / "demo.png"


def main() -> None:
    """The last test window of one segment of the demo's data, as its report shows it."""
    forecaster = Forecaster(horizon=14, time="date", target="cds", series="segment")
    shipped = resources.files("elman.data") / "shipped" / "cdnow_daily.csv"
    judged = judge(forecaster, forecaster.read(read_table(Path(str(shipped)))))
    TARGET.parent.mkdir(exist_ok=True)
    figure = plot_forecast(plots_of(judged.backtest)[3])
    figure.set_size_inches(8, 3.4)
    figure.savefig(TARGET, dpi=110, facecolor="white")
    print(judged.scoreboard.to_text())


if __name__ == "__main__":
    main()
