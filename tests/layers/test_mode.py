"""Evaluation for a while."""

from __future__ import annotations

import torch
from torch import nn

import cello
from cello.layers import evaluating


def test_modules_come_back_to_their_own_mode():
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3).eval())
    with evaluating(net):
        assert not net[0].training
    assert (net.training, net[0].training, net[1].training) == (True, True, False)


def test_questions_leave_frozen_parts_alone():
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), nn.Dropout(), nn.Linear(4, 2)).train()
    net[1].eval()
    x = torch.randn(10, 2, 3)
    cello.attribute(net, x, (3, 0))
    cello.probe(net, [x[:, 0], x[:, 1]], [x[:, 0, 0] > 0, x[:, 1, 0] > 0])
    assert (net.training, net[0].training, net[1].training) == (True, True, False)
