"""The text, the page, the LaTeX and the files that `elman explain` writes."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET

import pytest
from matplotlib.mathtext import MathTextParser
from typer.testing import CliRunner

import elman
from elman.cells import CATALOGUE
from elman.cli.app import app
from elman.evidence.explain import DIAGRAMS, backward, equations
from elman.evidence.explain.notation import Symbol
from tests.evidence.explain.printed import read

ADDITION = "import torch, elman\nclass Mine(elman.Cell):\n    gates = ('u',)\n"
ADDITION += "    def step(self, x, r, s, p):\n        return 0.5 * s.h + torch.tanh(x.u)\n"


def told(*arguments, code=0):
    done = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


PAPERS = {  # as their docstrings, which are the papers', have them
    "lstm": {"f_t": "σ(x_f)", "c_t": "f_t ⊙ c_{t-1} + i_t ⊙ g_t", "h_t": "o_t ⊙ tanh(c_t)"},
    "gru": {"n_t": "tanh(x_n + r_t ⊙ r_n)", "h_t": "(1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}"},
    "elman": {"x_h": "W_h x_t + R_h h_{t-1} + b_h", "h_t": "tanh(x_h)"},
    "mingru": {"z_t": "σ(x_z)", "h_t": "(1 - z_t) ⊙ h_{t-1} + z_t ⊙ x_n"},
    "slstm": {"f_t": "ln(σ(x_f))", "keep_t": "exp(before_t - m_t)", "h_t": "o_t ⊙ c_t / n_t"},
    "lru": {"size": "exp(-exp(ν))", "h_t": "a ⊙ h_{t-1} - b ⊙ v_{t-1} + gain ⊙ x_re"},
    "leaky": {"α": "σ(a)", "h_t": "(1 - α) ⊙ h_{t-1} + α ⊙ x_u"},
    "peephole_lstm": {"o_t": "σ(x_o + p_o ⊙ c_t)"},
}


@pytest.mark.parametrize("name", PAPERS)
def test_equations_read_as_in_the_papers(name):
    printed = dict(read("\n".join(map(str, equations(name)))))
    assert PAPERS[name].items() <= printed.items()


def test_the_chain_rule_is_shown_before_its_value():
    lines = {e.plain[0]: e.plain[1:] for e in backward("lstm")}
    assert lines["δc_t"] == ("δ⁺c_t + δh_t ∂h_t/∂c_t", "δ⁺c_t + δh_t ⊙ o_t ⊙ (1 - tanh²(c_t))")
    assert lines["δx_i"] == ("δi_t ∂i_t/∂x_i", "δi_t ⊙ i_t ⊙ (1 - i_t)")
    assert lines["δh_{t-1}"] == ("R_iᵀ δx_i + R_fᵀ δx_f + R_gᵀ δx_g + R_oᵀ δx_o",)
    through = {e.plain[0]: e.plain[1] for e in backward("minlstm")}
    assert through["δx_i"] == "δkept_t ∂kept_t/∂i_t ∂i_t/∂x_i"  # no value of the trace is the derivative by i


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_a_step_never_reads_is_told(name):
    class Wasteful(type(CATALOGUE[name]())):
        gates = (*CATALOGUE[name].gates, "idle")
        params = {**CATALOGUE[name].params, "spare": 1.0}

    assert not elman.explain(name).unread
    found = elman.explain(Wasteful)
    assert found.unread == ["gate idle", "parameter spare"]
    assert "weights that learn nothing: gate idle, parameter spare. Leave them out of the cell." in " ".join(
        str(found).split()
    )


@pytest.mark.parametrize("name", CATALOGUE)
def test_latex_is_of_one_piece(name):
    parser = MathTextParser("path")
    for equation in (*equations(name), *backward(name)):
        for side in equation.latex:
            assert side.count("{") == side.count("}") and side.count(r"\left") == side.count(r"\right")
            assert len(re.findall(r"\\begin{cases}", side)) == len(re.findall(r"\\end{cases}", side))
            assert not re.search(r"[^\x00-\x7f]", side), "LaTeX is ASCII"
            if "cases" not in side:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a glyph that the font lacks
                    parser.parse(f"${side.replace('⊤', 'T')}$")


def test_latex_has_the_same_lines_as_the_text():
    tex = elman.explain("gru").to_latex()
    assert tex.count("&=") == sum(len(e.plain) - 1 for e in (*equations("gru"), *backward("gru")))
    assert r"h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}" in tex
    assert tex.count(r"\begin{align*}") == tex.count(r"\end{align*}") == 4
    assert r"\nu" in elman.explain("lru").to_latex() and r"\begin{cases}" in elman.explain("slstm").to_latex()


def test_the_terminal_gets_the_text(tmp_path):
    text = told("lstm", "--layers", 2, "--bidirectional", "--hidden-size", 16, "--input-size", 8).output
    assert text.startswith("lstm: Long short-term memory")
    assert "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t" in text and "9,472  parameters" in text
    (tmp_path / "mine.py").write_text(ADDITION)
    assert "h_t = 0.5 · h_{t-1} + u_t" in told("Mine", "--cells", tmp_path / "mine.py").output
    source = told("gru", "--c").output
    assert source.startswith("/* GRU, written by elman") and "cell_backward" in source
    source = told("gru", "--triton").output
    assert source.startswith('"""GRU, written by elman') and "def cell_backward(" in source and "tl.dot" in source


def test_a_folder_gets_a_page_latex_and_pictures(tmp_path):
    told("leaky", "--out", tmp_path / "all", "--c", "--triton")
    names = {"explain.html", "equations.tex", "cell.c", "cell_triton.py", *(f"{shape}.svg" for shape in DIAGRAMS)}
    assert {path.name for path in (tmp_path / "all").iterdir()} == names
    page = (tmp_path / "all" / "explain.html").read_text()
    assert page.count("<svg") == len(DIAGRAMS) and "h<sub>t-1</sub>" in page
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )
    for shape in DIAGRAMS:
        alone = ET.parse(tmp_path / "all" / f"{shape}.svg").getroot()
        assert "prefers-color-scheme: dark" in "".join(alone.itertext())
    told("gru", "--shape", "tag", "--shape", "cell", "--out", tmp_path / "two")
    assert sorted(p.stem for p in (tmp_path / "two").glob("*.svg")) == ["cell", "tag"]


BAD = {
    "cell": (["ltsm"], "unknown cell 'ltsm', did you mean 'lstm'?"),
    "shape": (["lstm", "--shape", "classified"], "unknown shape 'classified', did you mean 'classify'?"),
    "layers": (["lstm", "--layers", "0"], "--layers must be 1 or more, got 0"),
    "size": (["lstm", "--hidden-size", "-3"], "--hidden-size must be 1 or more, got -3"),
    "cells": (["Mine", "--cells", "nothing.py"], "expected a Python file"),
}


@pytest.mark.parametrize("arguments, words", BAD.values(), ids=BAD)
def test_bad_input_is_one_line(arguments, words):
    done = told(*arguments, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("")
    assert "cannot be a folder" in told("lstm", "--out", tmp_path / "taken", code=2).stderr


def test_explaining_alters_nothing():
    code = "import sys, torch, elman; torch.manual_seed(3); before = torch.rand(1); torch.manual_seed(3); "
    code += (
        "sys.setprofile(None); str(elman.explain('gru')); assert torch.rand(1) == before and sys.getprofile() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_symbols_say_what_they_are():
    from elman.evidence.explain.notation import LATEX, PLAIN

    pairs = {
        Symbol("c", "t", tildes=1): ("c̃_t", r"\tilde{c}_{t}"),
        Symbol("lambda_"): ("λ", r"\lambda"),
        Symbol("α", "t"): ("α_t", r"\alpha_{t}"),
        Symbol("my_gate", "t-1"): ("my_gate_{t-1}", r"\mathrm{my\_gate}_{t-1}"),
        Symbol("b", "r,my_gate"): ("b_{r,my_gate}", r"b_{r,\mathrm{my\_gate}}"),
    }
    assert {s: (PLAIN.symbol(s), LATEX.symbol(s)) for s in pairs} == pairs
