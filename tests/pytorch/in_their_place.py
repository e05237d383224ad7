"""A plugin for pytest: from the start, our layers stand where PyTorch's recurrent layers are.

With it PyTorch's own test files run over ours; see `test_pytorch.py`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.testing._internal import common_modules

import cello

OURS = {nn.RNN: cello.RNN, nn.LSTM: cello.LSTM, nn.GRU: cello.GRU}

# What is not of these layers is none of our business: test_modules.py tests what is in this list.
common_modules.module_db[:] = [i for i in common_modules.module_db if i.module_cls in OURS]
for info in common_modules.module_db:
    info.module_cls = OURS[info.module_cls]
for theirs, ours in OURS.items():
    for place in (nn, nn.modules, nn.modules.rnn):
        setattr(place, theirs.__name__, ours)
torch.serialization.add_safe_globals(list(OURS.values()))
