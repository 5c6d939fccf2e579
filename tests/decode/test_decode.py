"""Decoding against all sequences written out, and sampling against the exact distribution."""

from __future__ import annotations

import math
from itertools import groupby, product

import pytest
import torch
from scipy.stats import chisquare

from elman.decode import Choice, beam_search, ctc_align, ctc_beam, ctc_greedy, generate, generate_frames
from elman.errors import OptionError

END = 0


class Table:
    """A model over V tokens whose scores depend on the last two tokens: a state that must follow its row."""

    def __init__(self, size=4, seed=0, sharp=1.5):
        self.scores = sharp * torch.randn(size, size, size, generator=torch.Generator().manual_seed(seed))

    def step(self, tokens, state):
        last = torch.zeros(1, len(tokens), 1, dtype=torch.long) if state is None else state[0]
        return self.scores[last[0, :, 0], tokens], (tokens.view(1, -1, 1),)

    def select(self, state, rows):
        return tuple(part[:, rows] for part in state)

    def log_p(self, tokens, start=1):
        """Of a whole sequence after `start`, its end counted."""
        before, last, total = 0, start, 0.0
        for token in [*tokens, END]:
            total += torch.log_softmax(self.scores[before, last], 0)[token].item()
            before, last = last, token
        return total


FIRST = (torch.zeros(1, 1, 1, dtype=torch.long),)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed, penalty):
    model, most = Table(seed=seed), 5
    everything = [seq for n in range(most) for seq in product(range(1, 4), repeat=n)]
    scored = sorted(((model.log_p(s) / (len(s) + 1) ** penalty, s) for s in everything), reverse=True)
    (found,) = beam_search(
        model, 1, FIRST, num_beams=400, max_new_tokens=most, eos_token_id=END, length_penalty=penalty
    )
    ended = [h for h in found if len(h.tokens) < most]
    for hypothesis, (score, seq) in zip(ended[:5], scored[:5], strict=True):
        assert tuple(hypothesis.tokens) == seq
        assert hypothesis.score == pytest.approx(score, rel=1e-4)


def test_a_beam_that_stops_early_has_lost_nothing():
    for seed in range(8):
        model = Table(seed=seed, sharp=3.0)
        options = {"num_beams": 3, "eos_token_id": END, "length_penalty": 1.0}
        short, long = (beam_search(model, 1, FIRST, max_new_tokens=n, **options)[0][0] for n in (12, 30))
        if len(short.tokens) < 12:  # it ended
            assert short.score <= long.score + 1e-6


def test_one_beam_is_greedy():
    model = Table(seed=3)
    greedy = [
        row[0]
        for row in generate(model, [[1]], FIRST, max_new_tokens=8, choice=Choice(do_sample=False), eos_token_id=END)
    ]
    (beam,) = beam_search(model, 1, FIRST, num_beams=1, max_new_tokens=8, eos_token_id=END, length_penalty=0.0)
    path = greedy[:-1] if greedy[-1] == END else greedy
    assert path[: len(beam[0].tokens)] == beam[0].tokens


def test_rows_that_are_searched_together_are_searched_alike():
    for seed in range(6):
        model = Table(seed=seed, sharp=2.0)
        options = {"num_beams": 3, "max_new_tokens": 9, "eos_token_id": END, "length_penalty": 0.5}
        _, state = model.step(torch.arange(3), None)  # each row comes from another token
        together = beam_search(model, 1, state, rows=3, **options)
        for row, found in enumerate(together):
            (alone,) = beam_search(model, 1, model.select(state, torch.tensor([row])), **options)
            assert [h.tokens for h in found] == [h.tokens for h in alone]
            assert [h.score for h in found] == pytest.approx([h.score for h in alone])


OPTIONS = {
    "plain": {},
    "temperature": {"temperature": 0.6},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.7},
    "min_p": {"min_p": 0.2},
    "typical_p": {"typical_p": 0.6},
    "all": {"temperature": 1.3, "top_k": 5, "top_p": 0.9, "min_p": 0.05},
}


def exact(z, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0):
    """The distribution by plain loops over the definitions."""
    p = {k: math.exp(v / temperature) for k, v in enumerate(z)}

    def normal(p):
        total = sum(p.values())
        return {k: v / total for k, v in p.items()}

    def until(p, order, share):
        kept, total = {}, 0.0
        for k in order:
            if total >= share:
                break
            kept[k], total = p[k], total + p[k]
        return kept

    p = normal(p)
    if top_k:
        p = normal({k: p[k] for k in sorted(p, key=lambda k: -p[k])[:top_k]})
    if top_p < 1:
        p = normal(until(p, sorted(p, key=lambda k: -p[k]), top_p))
    if min_p:
        p = normal({k: v for k, v in p.items() if v >= min_p * max(p.values())})
    if typical_p < 1:
        entropy = -sum(v * math.log(v) for v in p.values())
        p = normal(until(p, sorted(p, key=lambda k: abs(-math.log(p[k]) - entropy)), typical_p))
    return p


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_sampling_has_the_exact_distribution(options):
    torch.manual_seed(1)
    z, count = 1.5 * torch.randn(8), 20_000
    expected = exact(z.tolist(), **options)
    drawn = Choice(**options).next(z.expand(count, 8), [], torch.Generator().manual_seed(0))
    seen = torch.bincount(drawn, minlength=8).tolist()
    assert {k for k, n in enumerate(seen) if n} <= set(expected)
    kept = sorted(expected)
    if len(kept) > 1:
        assert chisquare([seen[k] for k in kept], [count * expected[k] for k in kept]).pvalue > 1e-3


def test_repetition_is_penalised_as_published():
    z = torch.tensor([[2.0, -1.0, 3.0]])
    scores = Choice(do_sample=False, repetition_penalty=2.0).scores(z, [[0, 1, 0]])
    assert scores.tolist() == [[1.0, -2.0, 3.0]]
    assert z.tolist() == [[2.0, -1.0, 3.0]]


def test_no_run_of_tokens_comes_twice():
    choice = Choice(no_repeat_ngram_size=3)
    tokens = [[1]]
    for row in generate(Table(12), tokens, FIRST, max_new_tokens=40, choice=choice, seed=0):
        tokens[0].append(row[0])
    runs = list(zip(*(tokens[0][i:] for i in range(3)), strict=False))
    assert len(runs) == len(set(runs)) > 20
    free = [row[0] for row in generate(Table(12, sharp=4.0), [[1]], FIRST, max_new_tokens=40, seed=0)]
    assert len(set(zip(free, free[1:], free[2:], strict=False))) < 38


def test_rows_are_generated_as_if_alone():
    model, prompts = Table(seed=5), [[1, 2, 3], [2], [3, 1]]
    choice = Choice(do_sample=False)

    def together(prompts):
        first = (torch.zeros(1, len(prompts), 1, dtype=torch.long),)
        rows = list(generate(model, prompts, first, max_new_tokens=6, choice=choice, eos_token_id=END))
        return [[step[i] for step in rows if step[i] is not None] for i in range(len(prompts))]

    assert together(prompts) == [together([prompt])[0] for prompt in prompts]


def test_the_same_seed_gives_the_same_tokens():
    runs = [list(generate(Table(), [[1], [2]], None, max_new_tokens=9, seed=s)) for s in (4, 4, 5)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"top_p": 0}, {"top_p": 1.1}, {"min_p": -1}, {"top_k": -1}, {"typical_p": 2}]
)
def test_wrong_options_are_one_line(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Choice(**wrong)


def collapse(path, blank=0):
    return tuple(k for i, k in enumerate(path) if k != blank and (i == 0 or path[i - 1] != k))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_ctc_prefix_beam_is_exact_when_it_is_wide(steps, seed):
    logs = torch.log_softmax(2 * torch.randn(steps + 2, 3, generator=torch.Generator().manual_seed(seed)), 1)
    sums: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=steps):
        p = math.exp(sum(logs[t, k].item() for t, k in enumerate(path)))
        sums[collapse(path)] = sums.get(collapse(path), 0.0) + p
    found = ctc_beam(logs, steps, num_beams=1000)
    assert sum(math.exp(s) for _, s in found) == pytest.approx(1.0, abs=1e-5)
    for labels, log_p in found:
        assert math.exp(log_p) == pytest.approx(sums[tuple(labels)], rel=1e-4)
    best = max(sums, key=sums.__getitem__)
    assert tuple(found[0][0]) == best


def test_ctc_loss_agrees_with_the_beam():
    logs = torch.log_softmax(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), 1)
    for labels, log_p in ctc_beam(logs, 5, num_beams=5000)[:10]:
        if labels:
            target = torch.tensor([labels])
            sizes = torch.tensor([5]), torch.tensor([len(labels)])
            loss = torch.nn.functional.ctc_loss(logs.unsqueeze(1), target, *sizes, reduction="sum")
            assert -loss.item() == pytest.approx(log_p, abs=1e-4)


def test_ctc_greedy_merges_and_drops():
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 0], [2, 0, 0, 0, 1, 1, 1]])
    logs = torch.nn.functional.one_hot(path, 3).float().log()
    assert ctc_greedy(logs, torch.tensor([7, 3])) == [[1, 1, 2], [2]]


class Chord:
    """Two notes, z = 1 and -1 whenever the first was off, else 0 and 3; what was read is kept."""

    def __init__(self):
        self.read = []

    def step(self, frames, state):
        self.read.append(frames[0].tolist())
        return torch.tensor([[0.0, 3.0] if frames[0, 0] else [1.0, -1.0]]), state

    def select(self, state, rows):
        return state


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_notes_are_drawn_each_by_itself(temperature):
    model = Chord()
    prompt = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    choice = Choice(temperature=temperature)
    found = torch.stack(list(generate_frames(model, prompt, max_new_tokens=4000, choice=choice, seed=0)))
    assert model.read[:2] == prompt.tolist() and model.read[2:] == found.tolist()
    before = torch.cat([prompt[1:], found[:-1]])[:, 0]
    for state, scores in ((0, (1.0, -1.0)), (1, (0.0, 3.0))):
        share = found[before == state].mean(0)
        for note, z in enumerate(scores):
            assert share[note] == pytest.approx(1 / (1 + math.exp(-z / temperature)), abs=0.04)


def test_the_likelier_state_of_each_note_and_options_that_mean_nothing():
    greedy = generate_frames(Chord(), torch.zeros(1, 2), max_new_tokens=3, choice=Choice(do_sample=False), seed=0)
    assert [frame.tolist() for frame in greedy] == [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    with pytest.raises(OptionError, match="do_sample and temperature alone, got top_p"):
        next(generate_frames(Chord(), torch.zeros(1, 2), max_new_tokens=3, choice=Choice(top_p=0.5), seed=0))


@pytest.mark.parametrize("labels", [[1], [1, 2], [1, 1], [2, 1, 2], []])
def test_ctc_align_finds_the_best_of_all_paths(labels):
    """Against every path of five steps over three labels."""
    logs = torch.log_softmax(torch.randn(5, 3, generator=torch.Generator().manual_seed(len(labels))) * 2, 1)

    def spelt(path):
        return [k for k, before in zip(path, (None, *path[:-1]), strict=True) if k and k != before]

    paths = [p for p in product(range(3), repeat=5) if spelt(p) == labels]
    best = max(paths, key=lambda p: sum(float(logs[t, k]) for t, k in enumerate(p)))
    runs = [list(group) for _, group in groupby(range(5), key=lambda t: best[t])]
    own = [max(run, key=lambda t: float(logs[t, best[t]])) for run in runs if best[run[0]]]
    assert ctc_align(logs, labels) == own
    with pytest.raises(ValueError, match="cannot spell"):
        ctc_align(logs[:2], [1, 1])
