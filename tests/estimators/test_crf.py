"""The linear chain against all paths written out."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch

from elman.estimators.sequences.crf import ChainField


@pytest.fixture
def chain():
    torch.manual_seed(0)
    chain = ChainField(3).double()
    for p in chain.parameters():
        torch.nn.init.normal_(p)
    return chain


def path_score(chain, z, path):
    total = chain.first[path[0]] + chain.last[path[-1]] + sum(z[t, k] for t, k in enumerate(path))
    return total + sum(chain.after[a, b] for a, b in pairwise(path))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_probabilities_and_best_path_are_those_of_all_paths(chain, length):
    z = torch.randn(5, 3, dtype=torch.float64)
    paths = list(product(range(3), repeat=length))
    scores = torch.stack([path_score(chain, z[:length], path) for path in paths])
    padded, lengths = z.unsqueeze(0), torch.tensor([length])
    assert torch.isclose(chain.log_partition(padded, lengths)[0], torch.logsumexp(scores, 0))
    assert chain.best(padded, lengths)[0, :length].tolist() == list(paths[int(scores.argmax())])
    y = torch.tensor([[*paths[7 % len(paths)], *[0] * (5 - length)]])
    assert torch.isclose(chain.score(padded, y, lengths)[0], scores[7 % len(paths)])
    expected = (torch.logsumexp(scores, 0) - scores[7 % len(paths)]) / length
    assert torch.isclose(chain.loss(padded, y, lengths), expected)


def test_rows_know_nothing_of_each_other(chain):
    z, lengths = torch.randn(4, 6, 3, dtype=torch.float64), torch.tensor([6, 1, 3, 5])
    together = chain.best(z, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = chain.best(z[row : row + 1, :length], lengths[row : row + 1])
        assert together[row, :length].equal(alone[0])
        assert together[row, length:].eq(0).all()
        got = chain.log_partition(z, lengths)[row]
        assert torch.isclose(got, chain.log_partition(z[row : row + 1, :length], lengths[row : row + 1])[0])


def test_the_gradient_of_the_loss_is_right(chain):
    z = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    y, lengths = torch.randint(3, (2, 4)), torch.tensor([4, 2])
    assert torch.autograd.gradcheck(lambda z: chain.loss(z, y, lengths), (z,))
