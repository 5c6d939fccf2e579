"""The card that is not there refuses what CUDA refuses: else nothing that runs on it would say anything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from elman.data.batching import PaddedBatches
from elman.training.loop import fit
from elman.training.settings import TrainingSettings

MISTAKES = {
    "two devices": lambda x: x + torch.zeros(3, 2),
    "a mask of the CPU": lambda x: torch.where(torch.ones(3, 2, dtype=torch.bool), x, 0.0),
    "a list of both": lambda x: torch.cat([x, torch.zeros(3, 2)]),
    "a copy into a number's place": lambda x: torch.zeros(3)[x[:, 0].argsort()],
    "a table on the other side": lambda x: F.embedding(torch.tensor([0]), x),
    "NumPy": lambda x: x.numpy(),
    "NumPy, unseen": lambda x: np.asarray(x),
    "a generator of the CPU": lambda x: torch.bernoulli(x.sigmoid(), generator=torch.Generator()),
    "lengths on the card": lambda x: nn.utils.rnn.pack_padded_sequence(
        x[None], torch.tensor([3], device=x.device), True
    ),
    "a gradient of the CPU": lambda x: setattr(x.detach().requires_grad_(), "grad", torch.zeros(3, 2)),
    "weights of the CPU": lambda x: nn.LSTM(2, 4)(x),
    "a state of the CPU": lambda x: nn.GRU(2, 4).to(x.device)(x, torch.zeros(1, 4)),
    "weights wider than what is normalised": lambda x: F.layer_norm(x.half(), (2,), torch.ones(2, device=x.device)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cuda_refuses_is_refused(card, mistake):
    x = torch.randn(3, 2, device=card)
    with pytest.raises((RuntimeError, TypeError)):
        MISTAKES[mistake](x)


def test_what_cuda_does_is_done(card):
    x = torch.randn(4, 3, device=card, requires_grad=True)
    assert torch.equal((x * torch.tensor(2.0)).cpu(), 2 * x.cpu())  # a number of the CPU is welcome
    assert x[torch.tensor([0])].tolist() == x.cpu()[[0]].tolist()  # and so are indices
    with torch.autocast("cuda", torch.float16):
        assert ((x @ x.T).dtype, x.exp().dtype, x.tanh().dtype) == (torch.float16, torch.float32, torch.float32)
    (x.square().sum() / 2).backward()
    assert x.grad is not None and x.grad.device == x.device and torch.equal(x.grad, x)
    y, _ = nn.GRU(3, 2).to(card)(x)
    y.sum().backward()


def test_the_card_has_random_numbers_of_its_own(card):
    before = torch.get_rng_state()
    torch.cuda.manual_seed(1)
    state, first = torch.cuda.get_rng_state(), torch.rand(3, device=card).tolist()
    assert torch.equal(torch.get_rng_state(), before) and torch.rand(3, device=card).tolist() != first
    torch.cuda.set_rng_state(state)
    assert torch.rand(3, device=card).tolist() == first


class Careless(nn.Module):
    """Learns a mean; its mask is made on the CPU."""

    def __init__(self, *, careful: bool) -> None:
        super().__init__()
        self.mean, self.careful = nn.Parameter(torch.zeros(1)), careful

    def loss(self, batch, state=None):
        mask = torch.ones(batch.y.shape, device=batch.y.device if self.careful else "cpu")
        return ((batch.y - self.mean).square() * mask).mean(), None


@pytest.mark.parametrize("careful", [True, False])
def test_a_mistake_in_a_net_ends_its_training(card, careful):
    data = PaddedBatches([torch.ones(4, 1)] * 4, [torch.ones(4, 1)] * 4, batch_size=2, seed=0)
    settings = TrainingSettings(max_steps=4, accelerator="cuda")
    if careful:
        fit(Careless(careful=True), data, settings=settings)
    else:
        with pytest.raises(RuntimeError, match="two devices"):
            fit(Careless(careful=False), data, settings=settings)


def test_afterwards_there_is_no_card():
    from tests.card import pretended

    there = torch.cuda.is_available()
    with pretended() as device:
        x = torch.ones(1, device=device)
    assert torch.cuda.is_available() == there and (there or x.cpu().item() == 1.0)
