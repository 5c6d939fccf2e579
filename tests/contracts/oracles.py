"""The cells once more, from the papers' equations: plain Python numbers, one unit at a time, no torch.

Where a paper has a simpler or an older form than our step, the oracle takes that one: sLSTM without its stabiliser,
minLSTM with the quotient of its gates, LRU in complex numbers, Jordan's context summed over all past outputs.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from math import exp, log, tanh

import numpy as np


def sigmoid(v):
    return 1 / (1 + exp(-v))


@dataclass
class Unit:
    """Unit k of one row at one step: what its equations may read. Weights by kind, name and unit: W["f"][k][j]."""

    k: int
    W: dict
    R: dict
    b: dict
    b_r: dict
    params: dict
    input: list
    state: dict
    first: dict  # the state before the first step
    past: list  # the outputs so far, from that of the first state

    def x(self, gate):
        return self.b[gate][self.k] + product(self.W[gate][self.k], self.input)

    def r(self, gate):
        return (self.b_r[gate][self.k] if gate in self.b_r else 0.0) + product(self.R[gate][self.k], self.state["h"])

    def s(self, name):
        return self.state[name][self.k]

    def p(self, name):
        return self.params[name][self.k]


def product(row, vector):
    total = 0.0
    for weight, value in zip(row, vector, strict=True):
        total += weight * value
    return total


def jordan(u, mu=0.5):
    """Jordan 1986: context z_t = Σ_j μ^(t-1-j) h_j; the bias of R adds up likewise, a start of q fades."""
    t = len(u.past)
    z = [sum(mu ** (t - 1 - j) * h[unit] for j, h in enumerate(u.past)) for unit in range(len(u.past[0]))]
    q = product(u.R["h"][u.k], z) + u.b_r["h"][u.k] * sum(mu**j for j in range(t)) + mu**t * u.first["q"][u.k]
    return tanh(u.x("h") + q), q


def peephole_lstm(u):
    """Graves 2013, equations 7–11."""
    i = sigmoid(u.x("i") + u.r("i") + u.p("i") * u.s("c"))
    f = sigmoid(u.x("f") + u.r("f") + u.p("f") * u.s("c"))
    c = f * u.s("c") + i * tanh(u.x("g") + u.r("g"))
    o = sigmoid(u.x("o") + u.r("o") + u.p("o") * c)
    return o * tanh(c), c


def coupled_lstm(u):
    """Greff et al. 2017, CIFG: f = 1 - i, here by the input gate, i = σ(-v) = 1 - σ(v)."""
    i = sigmoid(-(u.x("f") + u.r("f")))
    f = 1 - i
    c = i * tanh(u.x("g") + u.r("g")) + f * u.s("c")
    return sigmoid(u.x("o") + u.r("o")) * tanh(c), c


def steep_lstm(u):
    """Hochreiter & Schmidhuber 1997 with a forget gate, each gate σ(a v)."""
    i, f, o = (1 / (1 + exp(-u.p("a") * u.x(g) - u.p("a") * u.r(g))) for g in ("i", "f", "o"))
    c = f * u.s("c") + i * tanh(u.x("g") + u.r("g"))
    return o * tanh(c), c


def refined_lstm(u):
    """Gu et al. 2020, the effective gate as their implementation writes it: 2 r f + (1 - 2 r) f²."""
    f, r = sigmoid(u.x("f") + u.r("f")), sigmoid(u.x("r") + u.r("r"))
    g = 2 * r * f + (1 - 2 * r) * f**2
    c = g * u.s("c") + (1 - g) * tanh(u.x("g") + u.r("g"))
    return sigmoid(u.x("o") + u.r("o")) * tanh(c), c


def slstm(u):
    """Beck et al. 2024 without the stabiliser, and what m would be."""
    i, f = exp(u.x("i") + u.r("i")), sigmoid(u.x("f") + u.r("f"))
    z, o = tanh(u.x("z") + u.r("z")), sigmoid(u.x("o") + u.r("o"))
    seen = u.s("n") > 0
    unit = exp(u.s("m")) if seen else 0.0
    c, n = f * u.s("c") * unit + i * z, f * u.s("n") * unit + i
    m = max(log(f) + u.s("m"), log(i)) if seen else log(i)
    return o * c / n, c / exp(m), n / exp(m), m


def steep_gru(u, slope=2.0):
    """Cho et al. 2014 with the reset gate after the product, each gate σ(slope v)."""
    r, z = (1 / (1 + exp(-slope * u.x(g) - slope * u.r(g))) for g in ("r", "z"))
    return (1 - z) * tanh(u.x("n") + r * u.r("n")) + z * u.s("h")


def mgu(u):
    """Zhou et al. 2016, the gate after the product."""
    f = sigmoid(u.x("f") + u.r("f"))
    return (1 - f) * u.s("h") + f * tanh(u.x("n") + f * u.r("n"))


def mingru(u):
    """Feng et al. 2024, section 3.1."""
    z = sigmoid(u.x("z"))
    return (1 - z) * u.s("h") + z * u.x("n")


def minlstm(u):
    """Feng et al. 2024, section 3.2: f' = f / (f + i), i' = i / (f + i)."""
    f, i = sigmoid(u.x("f")), sigmoid(u.x("i"))
    return f / (f + i) * u.s("h") + i / (f + i) * u.x("n")


def indrnn(u):
    """Li et al. 2018, with max(0, ·)."""
    return max(0.0, u.x("h") + u.p("u") * u.s("h"))


def lru(u):
    """Orvieto et al. 2023, in complex numbers."""
    pole = cmath.exp(complex(-exp(u.p("nu")), exp(u.p("theta"))))
    state = pole * complex(u.s("h"), u.s("v")) + exp(u.p("gamma")) * complex(u.x("re"), u.x("im"))
    return state.real, state.imag


ORACLES = {
    equations.__name__: equations
    for equations in (
        *(jordan, peephole_lstm, coupled_lstm, steep_lstm, refined_lstm, slstm),
        *(steep_gru, mgu, mingru, minlstm, indrnn, lru),
    )
}


def unroll(equations, states, weights, x, first):
    """Outputs (B, T, H) and the last state, each part (B, H), of x (B, T, F) from the state `first`, by name (B, H)."""
    rows, steps, _ = x.shape
    size = len(first["h"][0])
    y = np.zeros((rows, steps, size))
    last = {name: np.array(part, dtype=float) for name, part in first.items()}
    for row in range(rows):
        start = {name: [float(v) for v in first[name][row]] for name in states}
        state, past = start, [start["h"]]
        for t in range(steps):
            new = {name: [0.0] * size for name in states}
            for k in range(size):
                got = equations(Unit(k, **weights, input=list(x[row, t]), state=state, first=start, past=past))
                for name, value in zip(states, got if isinstance(got, tuple) else (got,), strict=True):
                    new[name][k] = value
            state = new
            past.append(state["h"])
            y[row, t] = state["h"]
        for name in states:
            last[name][row] = state[name]
    return y, last
