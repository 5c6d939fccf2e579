"""Training in the processes that `torchrun` started, begun or resumed: `processes.py FOLDER DROPOUT STEP`.

It ends in the middle of that step, if there is one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tiny import TinyLearner, padded

from elman.training.checkpoint import NAME
from elman.training.loop import fit
from elman.training.progress import Silent
from elman.training.settings import TrainingSettings


class Crash(Silent):
    """Ends the process that speaks for all in the middle of a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, step, epoch, loss, norm, items):
        if step == self.at:
            os._exit(9)


def main(folder: Path, dropout: float, crash: int) -> None:
    torch.set_num_threads(1)
    model, masks = TinyLearner(dropout=dropout), []
    model.drop.register_forward_hook(
        lambda module, given, y: masks.append(y.detach().eq(0)) if module.training else None
    )
    settings = TrainingSettings(max_epochs=4, learning_rate=0.01, checkpoint_every=3, accelerator="cpu")
    fit(model, padded(), settings=settings, folder=folder, resume=(folder / NAME).exists(), progress=Crash(crash))
    torch.save((model.state_dict(), masks), folder / f"rank{os.environ.get('RANK', 0)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
