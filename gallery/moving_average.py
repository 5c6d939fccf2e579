"""The smallest recurrent nets as filters: an average of two weights, any rational filter from a handful of units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from page import COLOURS, Page, legend, main
from scipy import signal
from statsmodels.datasets import nile
from statsmodels.tsa.holtwinters import SimpleExpSmoothing

import elman
from elman.cli.demos import SHIPPED
from elman.evidence.diagnose import diagnose
from elman.evidence.plots import QUIET, dress

TITLE = "A network of two weights is almost a moving average"
ALPHAS = (0.02, 0.1, 0.5)
SCALES = tuple(float(10.0**power) for power in np.arange(-3, 1.01, 0.5))
LEARNED_ON = 0.8
"""share of a series that is learned from; the rest is what is judged"""
FILTERS: dict[str, Any] = {
    "Butterworth low-pass, order 4": signal.butter(4, 0.1),
    "Chebyshev band-pass, order 6": signal.cheby1(3, 1, (0.2, 0.4), "bandpass"),
    "elliptic high-pass, order 5": signal.ellip(5, 1, 40, 0.6, "highpass"),
}
"""of scipy.signal, as (b, a); frequencies as shares of half the sampling rate"""

Values = NDArray[np.float64]


def layer_of(net: elman.Recurrent) -> Any:
    """The one layer of a net, whose weights are set by hand or read."""
    return net.layers[0]


def leaky(alpha: float) -> elman.Recurrent:
    """A leaky integrator of one unit: h_t = (1 - α) h_{t-1} + α x_t."""
    net = elman.Recurrent("leaky", 1, 1, dtype=torch.float64)
    w = layer_of(net).by_gate()
    w.W.u.fill_(1.0)
    w.p.a.fill_(math.log(alpha / (1 - alpha)))
    return net


def two_weights(w: float, r: float) -> elman.Recurrent:
    """Elman's network of one unit: h_t = tanh(w x_t + r h_{t-1})."""
    net = elman.Recurrent("elman", 1, 1, dtype=torch.float64)
    weights = layer_of(net).by_gate()
    weights.W.h.fill_(w)
    weights.R.h.fill_(r)
    return net


def as_filter(b: Values, a: Values) -> tuple[elman.Recurrent, float]:
    """The filter b / a as linear recurrent units, one for each pole or pair of poles, and the share of x that passes.

    y_t = k x_t + Σ_i Re s_{i,t},  s_{i,t} = λ_i s_{i,t-1} + r_i x_t

    Poles λ and residues r are those of the partial fractions; of a pair of conjugates one stands for both, with 2 r.
    """
    fractions: Any = signal.residuez(b, a)
    residues, poles, direct = fractions
    kept = poles.imag > -1e-12
    residues, poles = residues[kept], poles[kept]
    paired = np.where(poles.imag > 1e-12, 2.0, 1.0)
    net = elman.Recurrent("lru", 1, len(poles), dtype=torch.float64)
    w = layer_of(net).by_gate()
    for weight, values in (
        (w.W.re[:, 0], (paired * residues).real),
        (w.W.im[:, 0], (paired * residues).imag),
        (w.p.nu, np.log(-np.log(np.abs(poles)))),
        (w.p.theta, np.log(np.maximum(np.angle(poles), 1e-300))),  # a real pole has angle 0, which has no logarithm
        (w.p.gamma, np.zeros(len(poles))),
    ):
        weight.copy_(torch.tensor(values))
    return net, float(np.sum(direct))


def through(net: elman.Recurrent, x: Values, start: float | None = None) -> Values:
    """The sum of the net's outputs on a series (T,), from a state of zeros or from `start`."""
    state = None if start is None else (torch.full((1, 1, 1), start, dtype=torch.float64),)
    with torch.no_grad():
        return net(torch.as_tensor(x)[None, :, None], state)[0][0].sum(-1).numpy()


def real_series() -> dict[str, Values]:
    """The Nile's yearly flow at Aswan, and compact discs sold per day to nine groups of customers."""
    river: Any = nile.load_pandas().data
    table = np.genfromtxt(SHIPPED / "cdnow_daily.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    segments = {str(name): table["cds"][table["segment"] == name].astype(float) for name in np.unique(table["segment"])}
    return {"Nile": river["volume"].to_numpy(float), **segments}


def fit(net: elman.Recurrent, x: Values, weights: list[Any]) -> None:
    """Those weights for which the output after x_t is nearest to x_{t+1}, the state starting at x_0: by L-BFGS."""
    for parameter in net.parameters():
        parameter.requires_grad_(any(parameter is one for one in weights))
    given, start = torch.as_tensor(x)[None, :, None], (torch.full((1, 1, 1), x[0], dtype=torch.float64),)
    steps = torch.optim.LBFGS(weights, max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def loss() -> Any:
        steps.zero_grad()
        error = (net(given, start)[0][0, :-1] - given[0, 1:]).square().mean()
        error.backward()
        return error

    steps.step(loss)


def errors_after(said: Values, x: Values, begin: int) -> float:
    """Root mean squared error of what is said after x_{t-1} about x_t, t from `begin`."""
    return float(np.sqrt(np.mean((said[begin - 1 : -1] - x[begin:]) ** 2)))


def learn_series(x: Values) -> dict[str, float]:
    """Decay by statsmodels and by gradient, and what each says about the last fifth, one step ahead."""
    begin = round(LEARNED_ON * len(x))
    mean, scale = x[:begin].mean(), x[:begin].std()
    z = (x - mean) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on α at the edge of what is allowed
        best = SimpleExpSmoothing(z[:begin], initialization_method="known", initial_level=z[0]).fit()
    alpha = float(best.params["smoothing_level"])
    average = leaky(0.3)
    fit(average, z[:begin], [layer_of(average).p["a"]])
    found = {"α, statsmodels": alpha, "α, learned": float(torch.sigmoid(layer_of(average).p["a"].detach()))}
    told = {"last value": z, "mean": np.zeros_like(z), "EWMA": through(average, z, z[0])}
    for name, small in (("two weights, bent", 1.0), ("two weights, nearly straight", 0.05)):
        net = two_weights(0.3, 0.7)
        fit(net, z[:begin] * small, [layer_of(net).W, layer_of(net).R])
        told[name] = through(net, z * small, z[0] * small) / small
        found[f"w, {name}"] = float(layer_of(net).W.detach())
        found[f"r, {name}"] = float(layer_of(net).R.detach())
    return found | {name: errors_after(said, z, begin) * scale for name, said in told.items()}


def learn_filter(b: Values, a: Values, steps: int) -> tuple[elman.Recurrent, Any, float]:
    """Linear units that learn a filter from noise and what came out of it; with their gains, and R² on new noise."""
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    net, head = elman.Recurrent("lru", 1, 8), torch.nn.Linear(9, 1, bias=False)
    chosen = torch.optim.Adam([*net.parameters(), *head.parameters()], 0.01)
    fading = torch.optim.lr_scheduler.CosineAnnealingLR(chosen, steps)

    def said_and_true() -> tuple[torch.Tensor, torch.Tensor]:
        x = dice.normal(size=(16, 128))
        given = torch.tensor(x[..., None], dtype=torch.float32)
        truth = torch.tensor(signal.lfilter(b, a, x), dtype=torch.float32)
        return head(torch.cat([net(given)[0], given], -1))[..., 0], truth

    for _ in range(steps):
        said, truth = said_and_true()
        chosen.zero_grad()
        (said - truth).square().mean().backward()
        chosen.step()
        fading.step()
    with torch.no_grad():
        said, truth = said_and_true()
    return net, head, float(1 - (said - truth).square().mean() / truth.var())


def response(run: Callable[[Values], Any], steps: int) -> tuple[Values, Values, Values]:
    """What comes of one impulse (T,), and its spectrum: frequencies as shares of half the rate, and decibels."""
    impulse = run(np.eye(1, steps)[0])
    sizes = np.abs(np.fft.rfft(impulse))
    return impulse, np.linspace(0, 1, len(sizes)), 20 * np.log10(np.maximum(sizes, 1e-12))


def tell_equality(page: Page, steps: int) -> None:
    """Leaky integrator, recursive filter and moving average on the same numbers."""
    import pandas as pd

    x, rows = np.random.default_rng(0).normal(size=steps), []
    for alpha in ALPHAS:
        filtered = through(leaky(alpha), x) - signal.lfilter([alpha], [1, alpha - 1], x)
        averaged = through(leaky(alpha), x, x[0]) - pd.Series(x).ewm(alpha=alpha, adjust=False).mean().to_numpy()
        measured = diagnose(leaky(alpha), torch.zeros(1, 600, 1, dtype=torch.float64)).flows[0].horizon
        rows.append(
            {
                "α": alpha,
                "largest difference to lfilter": float(np.abs(filtered).max()),
                "to pandas' ewm": float(np.abs(averaged).max()),
                "horizon ln 0.01 / ln(1 - α)": math.log(0.01) / math.log(1 - alpha),
                "horizon measured": measured,
            }
        )
    page.numbers["equality"] = rows
    page.text(
        f"""
        ## Where it is exactly one
        A leaky integrator of one unit, `elman.Recurrent("leaky", 1, 1)`, computes

            h_t = (1 - α) h_(t-1) + α x_t

        which is the exponentially weighted moving average, and the recursive filter `lfilter([α], [1, α - 1], x)`. On
        {steps:,} random numbers in double precision, started at 0 for the filter and at x_0 for pandas:
        """
    )
    page.code(layer_of, leaky)
    page.table(rows)
    page.text(
        """
        Such a unit forgets by the factor 1 - α a step: after ln 0.01 / ln(1 - α) steps a hundredth is left of what it
        saw. The last column is what `elman.diagnose` finds by following gradients, the first whole step beyond that.
        """
    )


def tell_bending(page: Page, x: Values) -> None:
    """How far tanh takes Elman's unit from the average, by how large the numbers are."""
    alpha = 0.25
    exact = through(leaky(alpha), x)
    bent = {scale: through(two_weights(alpha, 1 - alpha), scale * x) / scale for scale in SCALES}
    off = {scale: float(np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2))) for scale, y in bent.items()}
    small = np.array([(math.log(scale), math.log(value)) for scale, value in off.items() if scale <= 0.1])
    power = float(np.polyfit(small[:, 0], small[:, 1], 1)[0])
    page.numbers["bending"] = {"alpha": alpha, "off": {f"{k:.3g}": v for k, v in off.items()}, "power": power}
    page.text(
        f"""
        ## Where it is only almost one
        Elman's network of one unit has two weights and a bend: h_t = tanh(w x_t + r h_(t-1)). With w = {alpha} and r
        = {1 - alpha} it is the average as long as tanh(z) ≈ z. The Nile's yearly flow, standardised and made smaller
        or larger before it is read, shows for how long that is:
        """
    )
    caption = (
        f"Left: average and network on the Nile. Right: their distance grows with the power {power:.2f} of the scale"
    )
    with page.picture("bending", caption, (1, 2), (8.4, 3.4)) as panels:
        panels[0].plot(x, color=QUIET, lw=0.8, label="the Nile, standardised")
        panels[0].plot(exact, color=COLOURS[0], lw=1.8, label="moving average")
        panels[0].plot(bent[1.0], color=COLOURS[1], lw=1.2, ls="--", label="network, scale 1")
        panels[0].plot(bent[0.1], color="black", lw=0, marker=".", ms=2.5, label="network, scale 0.1")
        dress(panels[0], "Two weights on a real series", "year from 1871", "standard deviations")
        legend(panels[0], loc="lower left", ncols=2)
        panels[0].set_ylim(-4.2, 3)
        panels[1].loglog(list(off), list(off.values()), color=COLOURS[1], marker="o", ms=4)
        dress(panels[1], "Distance from the average", "scale of the numbers", "relative error")
    page.text(
        f"""
        tanh(z) = z - z³/3 + …, so the relative distance grows with the square of the scale as long as it is small
        (measured: the power {power:.2f}). At a scale of 0.1 it is {off[0.1]:.2%}, at 1 already {off[1.0]:.0%}. What
        tanh does there is what makes the network more than a filter, and what keeps it bounded.
        """
    )


def tell_learning(page: Page, series: dict[str, Values]) -> None:
    """The decay that gradients find against the one that statsmodels finds."""
    rows: list[dict[str, Any]] = [{"series": name} | learn_series(x) for name, x in series.items()]
    page.numbers["learned"] = rows
    apart = max(abs(row["α, statsmodels"] - row["α, learned"]) for row in rows)
    said = ("mean", "last value", "EWMA", "two weights, bent", "two weights, nearly straight")
    best = [min(said, key=lambda name: row[name]) for row in rows]
    mended = sum(row["two weights, bent"] < row["EWMA"] for row in rows)
    gains = [row["w, two weights, nearly straight"] / (1 - row["r, two weights, nearly straight"]) for row in rows]
    page.text(
        f"""
        ## Learned from real series
        {len(rows)} series: the Nile's yearly flow and the compact discs that an online shop sold per day to groups of
        customers. α is fitted to the first {LEARNED_ON:.0%} of each: by `SimpleExpSmoothing` of statsmodels, and as a
        network's weight, by gradients through time. Both make the one-step-ahead error smallest; their α differ by at
        most {apart:.1g}. Elman's unit of two weights is learned likewise, on standardised numbers as they are
        ("bent") and on a twentieth of them ("nearly straight"). The errors are of the last {1 - LEARNED_ON:.0%}, one
        step ahead, in the series' units.
        """
    )
    shown = ("series", "α, statsmodels", "α, learned", "r, two weights, bent", *said)
    page.table([{name: row[name] for name in shown} for row in rows])
    page.text(
        f"""
        Smallest error on unseen steps, by count of series: {
            "; ".join(f"{name} {best.count(name)}" for name in said)
        }. The bent unit does better than the average on {mended} of {len(rows)}. Its two weights need not sum to
        1: of a constant input an average gives all back, the nearly straight unit here a share w / (1 - r) of
        {min(gains):.2f} … {max(gains):.2f}. That is an average pulled towards the mean, which is why it is not the
        same forecast.
        """
    )


def tell_filters(page: Page, steps: int, learning: int) -> None:
    """Filters of higher order as linear recurrent units: set by hand, and learned."""
    x, rows = np.random.default_rng(1).normal(size=steps), []
    caption = (
        "Lines: scipy.signal.lfilter. Dots: the network. What comes of one impulse, and how much of each frequency"
    )
    with page.picture("filters", caption, (len(FILTERS), 2), (8.4, 6.6)) as panels:
        for (name, (b, a)), (left, right) in zip(FILTERS.items(), panels, strict=True):
            net, direct = as_filter(b, a)
            off = through(net, x) + direct * x - signal.lfilter(b, a, x)
            pole = float(np.abs(np.roots(a)).max())
            rows.append(
                {
                    "filter": name,
                    "units": net.hidden_size,
                    "largest difference to lfilter": float(np.abs(off).max()),
                    "slowest pole": pole,
                    "its horizon, steps": math.log(0.01) / math.log(pole),
                    "horizon measured": diagnose(net, torch.zeros(1, 300, 1, dtype=torch.float64)).flows[0].horizon,
                }
            )
            for run, look in (
                (lambda z, b=b, a=a: signal.lfilter(b, a, z), {"color": COLOURS[0], "lw": 1.5}),
                (lambda z, net=net, k=direct: through(net, z) + k * z, {"color": COLOURS[1], "lw": 0, "marker": "."}),
            ):
                impulse, frequency, decibels = response(run, 512)
                every = 1 if "marker" not in look else 8
                left.plot(impulse[:60], ms=4, **look)
                right.plot(frequency[::every], decibels[::every], ms=4, **look)
            dress(left, name, "step", "response to an impulse")
            dress(right, "", "frequency, share of half the rate", "gain, dB")
            right.set_ylim(-80, 5)
    page.numbers["filters"] = rows
    page.text(
        """
        The diagonal form is what a linear recurrent unit (`lru`) is: each unit one complex pole, which rotates and
        fades. scipy's partial fractions give poles and gains, and the units' weights are set to them:
        """
    )
    page.code(as_filter)
    page.table(rows)
    page.text(
        """
        A pole forgets by its size |λ| a step, as the average does by 1 - α. What is measured is the way from the
        state to the output Re s, which swings while it fades, so that its last hundredth comes somewhat earlier.
        """
    )
    b, a = FILTERS["Butterworth low-pass, order 4"]
    net, head, explained = learn_filter(b, a, learning)
    poles = np.exp(-np.exp(layer_of(net).p["nu"].detach().numpy()))
    page.numbers["learned filter"] = {"steps": learning, "explained": explained, "poles": poles.tolist()}
    with torch.no_grad():
        impulse = torch.eye(1, 512)[..., None]
        heard = head(torch.cat([net(impulse)[0], impulse], -1))[0, :, 0].double().numpy()
    with page.picture("learned", "The Butterworth filter, learned from noise and what came out of it") as axes:
        for run, look in (
            (lambda z: signal.lfilter(b, a, z), {"color": COLOURS[0], "lw": 1.8, "label": "scipy.signal.lfilter"}),
            (lambda z: heard, {"color": COLOURS[1], "lw": 1.4, "ls": "--", "label": "learned"}),
        ):
            _, frequency, decibels = response(run, 512)
            axes.plot(frequency, decibels, **look)
        axes.set_ylim(-80, 5)
        dress(axes, "Gain by frequency", "frequency, share of half the rate", "gain, dB")
        legend(axes)
    page.text(
        f"""
        The same can be learned without knowing the filter: eight units from a random start, told only noise and what
        the Butterworth filter made of it, explain {explained:.4%} of new output after {learning} steps of Adam. What
        they get wrong is what the squared error hardly sees: frequencies of which next to nothing passes.
        """
    )


def make(page: Page) -> None:
    """Measures, draws and tells."""
    series = real_series()
    page.text(
        """
        What does the smallest recurrent network compute? One unit that reads one number and itself is almost the
        exponentially weighted moving average that every forecaster knows, and a layer of such units is any recursive
        filter.
        """
    )
    tell_equality(page, 500 if page.quick else 10_000)
    flow = series["Nile"]
    tell_bending(page, (flow - flow.mean()) / flow.std())
    tell_learning(page, dict(list(series.items())[:2]) if page.quick else series)
    page.text("## Several states: any recursive filter")
    tell_filters(page, 500 if page.quick else 10_000, 200 if page.quick else 3000)
    page.text(
        """
        ## What follows
        A recurrent net whose state is linear is an infinite-impulse-response filter, to rounding: it can be started
        from a filter that is known, and what it learned can be read as poles. Training it is fitting a filter by
        gradients; the nonlinear cells begin where tanh bends or a gate lets α depend on what was seen.

        ## In the literature
        - Averages: Roberts 1959, doi:10.1080/00401706.1959.10489860; as a forecast, with the optimal α: Muth 1960,
          doi:10.1080/01621459.1960.10482064.
        - The unit of two weights: Elman 1990, doi:10.1207/s15516709cog1402_1. Leaky integrators: Jaeger et al. 2007,
          doi:10.1016/j.neunet.2007.04.016.
        - Nets that are filters: Gu, Goel & Ré 2022, arXiv:2111.00396 (S4); Orvieto et al. 2023, arXiv:2303.06349 (LRU).

        ## To try next
            elman explain leaky
            elman forecast src/elman/data/shipped/cdnow_daily.csv --time date --target cds --series segment --horizon 14
        """
    )


if __name__ == "__main__":
    main(make, TITLE)
