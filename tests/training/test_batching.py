"""Every step of every sequence once an epoch, in order; the same batches from any entry."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.batching import PaddedBatches, TruncatedBatches
from elman.errors import DataError, OptionError


def numbered(lengths):
    """Sequence i holds 1000 i + t at step t, and its target the same, negative: every step can be told."""
    xs = [1000.0 * i + torch.arange(n, dtype=torch.float32)[:, None] for i, n in enumerate(lengths)]
    return xs, [-x for x in xs]


def same(a, b):
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all((x is None and y is None) or torch.equal(x, y) for x, y in pairs)


LENGTHS = st.lists(st.integers(1, 23), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(1, 7), st.integers(1, 6), st.integers(0, 3))
def test_windows_deliver_every_step_once_in_order_with_right_resets(lengths, batch_size, steps, epoch):
    data = TruncatedBatches(*numbered(lengths), batch_size=batch_size, steps=steps, seed=0)
    rows: list[list[list[float]]] = [[] for _ in range(min(batch_size, len(lengths)))]
    count = 0
    for batch in data.epoch(epoch):
        count += 1
        assert len(batch) == len(rows) and batch.x.shape[1] <= steps
        assert torch.equal(batch.y, -batch.x)
        for row, (x, n, reset, weight) in enumerate(
            zip(batch.x, batch.lengths.tolist(), batch.reset.tolist(), batch.weight, strict=True)
        ):
            assert weight[:, 0].tolist() == [1.0] * n + [0.0] * (len(x) - n)
            assert not x[n:].any()
            if reset:
                rows[row].append([])
            if n:
                rows[row][-1] += x[:n, 0].tolist()
    assert count == len(data)
    delivered = sorted(sequence for row in rows for sequence in row)
    assert delivered == [x[:, 0].tolist() for x in numbered(lengths)[0]]


@settings(max_examples=25, deadline=None)
@given(LENGTHS, st.integers(1, 7), st.integers(1, 6))
def test_no_row_is_wasted_more_than_needed(lengths, batch_size, steps):
    data = TruncatedBatches(*numbered(lengths), batch_size=batch_size, steps=steps, seed=0)
    windows = [-(-n // steps) for n in lengths]
    least = max(max(windows), -(-sum(windows) // min(batch_size, len(lengths))))
    assert least <= len(data) <= 4 / 3 * least + 1
    assert {sum(1 for _ in data.epoch(e)) for e in range(4)} == {len(data)}


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(1, 7), st.booleans(), st.integers(0, 3))
def test_padded_batches_deliver_every_sequence_once(lengths, batch_size, bucket, epoch):
    data = PaddedBatches(*numbered(lengths), batch_size=batch_size, seed=0, bucket=bucket)
    delivered = []
    for batch in data.epoch(epoch):
        assert torch.equal(batch.y, -batch.x) and batch.x.shape[1] == batch.lengths.max()
        assert torch.equal(batch.weight.sum((1, 2)).long(), batch.lengths) and batch.reset is None
        delivered += [x[:n, 0].tolist() for x, n in zip(batch.x, batch.lengths.tolist(), strict=True)]
    assert sorted(delivered) == [x[:, 0].tolist() for x in numbered(lengths)[0]]
    assert len(list(data.epoch(epoch))) == len(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: PaddedBatches(*numbered(range(1, 30)), batch_size=4, seed=seed),
        lambda seed: TruncatedBatches(*numbered(range(1, 30)), batch_size=4, steps=5, seed=seed),
    ],
)
def test_an_epoch_can_be_entered_anywhere_and_depends_on_seed_and_number_only(make):
    data = make(0)
    whole = list(data.epoch(2))
    for start in range(len(data) + 1):
        part = list(make(0).epoch(2, start))
        assert len(part) == len(data) - start
        assert all(same(a, b) for a, b in zip(part, whole[start:], strict=True))
    assert not all(same(a, b) for a, b in zip(whole, data.epoch(3), strict=True))
    assert not all(same(a, b) for a, b in zip(whole, make(1).epoch(2), strict=False))
    assert make(0).fingerprint() == data.fingerprint() != make(1).fingerprint()


def test_buckets_save_padding():
    dice = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 100, (200,), generator=dice).tolist()
    cells = {
        bucket: sum(
            b.x.shape[0] * b.x.shape[1]
            for b in PaddedBatches(*numbered(lengths), batch_size=8, seed=0, bucket=bucket).epoch(0)
        )
        for bucket in (True, False)
    }
    assert cells[True] < 1.1 * sum(lengths) < 1.5 * sum(lengths) < cells[False]


def test_whole_sequence_targets_and_types():
    data = PaddedBatches([[[1.0]], [[2.0], [3.0]]], [4, 5], batch_size=2, seed=0, per_step=False)
    batch = next(data.epoch(0))
    assert batch.y.dtype == torch.int64 and batch.weight is None and batch.x.dtype == torch.float32
    assert sorted(zip(batch.lengths.tolist(), batch.y.tolist(), strict=True)) == [(1, 4), (2, 5)]
    vectors = PaddedBatches([torch.ones(3, 1)], [torch.ones(3, 2, 2)], batch_size=1, seed=0)
    assert next(vectors.epoch(0)).weight.shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    ("sequences", "targets", "said"),
    [
        ([], [], "at least one sequence"),
        ([torch.ones(3, 1)], [], "must have a target for each of 1 sequences, got 0"),
        ([torch.ones(3)], [torch.ones(3)], r"Add a feature axis: s\[:, None\]"),
        ([torch.ones(3, 1), torch.ones(3, 2)], [torch.ones(3)] * 2, r"sequence 1 must be \(T, 1\)"),
        ([torch.ones(0, 1)], [torch.ones(0)], "T ≥ 1"),
        ([torch.ones(3, 1)], [torch.ones(2)], r"target 0 must be \(3, …\)"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_line(sequences, targets, said):
    for make in (
        lambda: PaddedBatches(sequences, targets, batch_size=2, seed=0),
        lambda: TruncatedBatches(sequences, targets, batch_size=2, steps=2, seed=0),
    ):
        with pytest.raises(DataError, match=said):
            make()


def test_sizes_must_be_positive():
    with pytest.raises(OptionError, match="batch_size must be at least 1, got 0"):
        PaddedBatches([torch.ones(3, 1)], [torch.ones(3)], batch_size=0, seed=0)
    with pytest.raises(OptionError, match="steps must be at least 1, got -1"):
        TruncatedBatches([torch.ones(3, 1)], [torch.ones(3)], batch_size=1, steps=-1, seed=0)
