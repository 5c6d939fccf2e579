"""`torch.nn` with its recurrent modules computed by elman: change `from torch import nn` to `from elman import nn`.

`RNN`, `LSTM` and `GRU` are elman's; every other name is torch.nn's own object. Submodules are attributes,
`nn.functional`; imports from them, `from torch.nn.utils.rnn import …`, stay as they are.

The three are `torch.nn.RNNBase`, as torch's are, but no subclasses of torch's: `torch.compile(fullgraph=True)` refuses
every instance of those.

>>> import torch
>>> from elman import nn
>>> nn.Linear is torch.nn.Linear, issubclass(nn.GRU, torch.nn.RNNBase)
(True, True)
"""

from __future__ import annotations

from typing import Any

import torch.nn

# All that is public there is public here, in its own right or as defined below.
from torch.nn import *  # noqa: F403  # pyright: ignore[reportAssignmentType, reportWildcardImportFromLibrary]

from elman.recurrent.nn import DropIn


class RNN(DropIn):
    """Drop-in for `torch.nn.RNN`: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or max(0, ·) with "relu".

    RNN(input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0,
    bidirectional=False, device=None, dtype=None)

    y, h_n = rnn(x, h_0): x (T, B, F), (B, T, F) with `batch_first`, (T, F) for one sequence, or a `PackedSequence`;
    y the same kind with D·H features; h_0 and h_n (L·D, B, H), zeros where h_0 is left out. Arguments, parameters,
    `state_dict` and errors are torch.nn's. `rnn.backend` names the backend, "auto" unless set; `explain_backend()`
    says which runs. Raises ValueError, TypeError and RuntimeError as `torch.nn.RNN` does, and `UnknownNameError` and
    `OptionError` for a backend. Source: Elman 1990, doi:10.1207/s15516709cog1402_1.

    >>> rnn = RNN(8, 16, nonlinearity="relu", batch_first=True)
    >>> y, h = rnn(torch.zeros(4, 10, 8))
    >>> y.shape, h.shape
    (torch.Size([4, 10, 16]), torch.Size([1, 4, 16]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        sizes, rest = args[:3], args[3:]
        self.nonlinearity: str = rest[0] if rest else kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self.nonlinearity not in modes:
            raise ValueError(f"RNN: unknown nonlinearity {self.nonlinearity!r}. Choose 'tanh' or 'relu'.")
        super().__init__(modes[self.nonlinearity], *sizes, *rest[1:], **kwargs)


class LSTM(DropIn):
    """Drop-in for `torch.nn.LSTM`: the equations of `elman.cells.LSTM`; with `proj_size`, h_t = W_hr (o_t tanh(c_t)).

    LSTM(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
    proj_size=0, device=None, dtype=None)

    y, (h_n, c_n) = lstm(x, (h_0, c_0)): shapes as for `RNN`, c (L·D, B, H), h and each direction of y of `proj_size`
    features where that is given. Arguments, parameters, `state_dict` and errors are torch.nn's; `lstm.backend` and
    `explain_backend()` as for `RNN`. Source: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735;
    projection: Sak, Senior & Beaufays 2014, arXiv:1402.1128.

    >>> lstm = LSTM(8, 16, num_layers=2, bidirectional=True)
    >>> lstm
    LSTM(8, 16, num_layers=2, bidirectional=True)
    >>> y, (h, c) = lstm(torch.zeros(10, 4, 8))
    >>> y.shape, c.shape
    (torch.Size([10, 4, 32]), torch.Size([4, 4, 16]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    # torch.nn.LSTM's own, for the second part of its state.
    get_expected_cell_size = torch.nn.LSTM.get_expected_cell_size  # pyright: ignore
    check_forward_args = torch.nn.LSTM.check_forward_args  # pyright: ignore
    permute_hidden = torch.nn.LSTM.permute_hidden  # pyright: ignore


class GRU(DropIn):
    """Drop-in for `torch.nn.GRU`: the equations of `elman.cells.GRU`.

    GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
    device=None, dtype=None)

    y, h_n = gru(x, h_0): shapes as for `RNN`. Arguments, parameters, `state_dict` and errors are torch.nn's;
    `gru.backend` and `explain_backend()` as for `RNN`. Source: Cho et al. 2014, arXiv:1406.1078.

    >>> gru = GRU(8, 16)
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(5, 8), torch.zeros(3, 8)])
    >>> y, h = gru(packed)
    >>> y.batch_sizes, h.shape
    (tensor([2, 2, 2, 1, 1]), torch.Size([1, 2, 16]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)


def __getattr__(name: str) -> Any:
    """What the star left out: private names, and submodules that torch loads late."""
    try:
        return getattr(torch.nn, name)
    except AttributeError:
        raise AttributeError(f"module 'elman.nn' has no attribute {name!r}, nor has torch.nn") from None
