"""RNN, LSTM and GRU, recognised by their equations: one recognition for every way out."""

import pytest
import torch

import cello
from cello.cells import Cell, zoo
from cello.cells.activations import ACTIVATIONS
from cello.convert.recurrence import Step, recurrence_of
from cello.errors import ModelError

#: "linear" is the identity by another name, and softmax is no function of one number.
NAMES = [name for name in ACTIVATIONS if name not in ("linear", "softmax")]


class InOtherWords(Cell):
    """A GRU whose z lets in, with its own names and one matrix for each gate."""

    state = ("memory",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.A = torch.nn.Parameter(torch.randn(3, 7, 4))
        self.d = torch.nn.Parameter(torch.randn(4))

    def step(self, x, memory):
        let_in = torch.sigmoid(torch.cat([x, memory], 1) @ self.A[0] + 0.5)
        reset = torch.sigmoid(x @ self.A[1, :3] + memory @ self.A[1, 3:])
        new = torch.tanh(x @ self.A[2, :3] + (self.d + memory @ self.A[2, 3:]) * reset)
        memory = memory + let_in * (new - memory)
        return memory, (memory,)


def found_in(cell):
    return recurrence_of(Step(cell, "net"))


@pytest.mark.parametrize("name", NAMES)
def test_activations_are_seen(name):
    assert found_in(cello.ElmanCell(3, 4, name)).activations == {"activation": name}
    for size in (1, 4):  # one unit is a vector of one number, as a constant is
        found = found_in(cello.GRUCell(3, size, name, "tanh"))
        assert found.activations == {"gate_activation": name, "activation": "tanh"}
        found = found_in(cello.LSTMCell(3, size, "sigmoid", name, "relu"))
        roles = {"gate_activation": "sigmoid", "activation": name, "output_activation": "relu"}
        assert found.activations == roles


def test_weights_stand_by_the_name_of_their_gate():
    cell = cello.LSTMCell(3, 4, peephole=True, projection_size=2)
    found = found_in(cell)
    assert (found.kind, found.input_size, found.hidden_size) == ("LSTM", 3, 4)
    for rows, name in zip(cell.W.chunk(4), "ifgo", strict=True):
        assert torch.equal(found.gates[name].W, rows)
    assert torch.equal(found.stacked("fi")[1], torch.cat([cell.R[4:8], cell.R[:4]]))
    assert torch.equal(found.projection, cell.P)
    assert torch.equal(found.peepholes["o"], cell.p_o)


def test_a_cell_in_other_words_becomes_a_layer_of_pytorchs():
    net = cello.Recurrent(InOtherWords())
    x = torch.randn(5, 2, 3)
    made = cello.to_torch(net)
    assert type(made) is torch.nn.GRU
    torch.testing.assert_close(made(x)[0], net(x)[0])


@pytest.mark.parametrize("name", ["CoupledLSTMCell", "LiGRUCell", "UGRNNCell", "JANETCell"])
def test_what_is_none_of_the_three(name):
    cell = getattr(zoo, name)(3, 4)
    assert found_in(cell) is None
    with pytest.raises(ModelError, match="PyTorch has an RNN, an LSTM and a GRU only"):
        cello.to_torch(cello.Recurrent(cell))
