from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from cello import zoo
from cello.errors import ArgumentError
from tests import registry

pytestmark = pytest.mark.usefixtures("compile_nothing")

I, H, T, B = 5, 16, 40, 8  # noqa: E741


def inputs() -> Tensor:
    return torch.randn(T, B, I)


def stack(cell: nn.Module) -> cello.Stack:
    return cello.Stack(cello.Recurrent(cell), nn.Linear(H, 1))


class LastStates(nn.Module):
    """A classifier of sequences that reads what has read the whole sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = cello.Bidirectional(cello.GRUCell(I, H))
        self.readout = nn.Linear(2 * H, 1)

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.rnn(x)
        return self.readout(torch.cat([state.forward.h, state.backward.h], -1))


# ------------------------------------------------------------ healthy nets


def train(net: nn.Module, delay: int) -> float:
    """Teach it to give back the first feature of some steps ago."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(120):
        x = inputs()
        loss = F.mse_loss(net(x)[0][delay:, :, 0], x[: T - delay, :, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: cello.Recurrent(cello.LSTMCell(I, H)),
        lambda: cello.Recurrent(cello.GRUCell(I, H)),
        lambda: cello.Recurrent(cello.ElmanCell(I, H)),
        lambda: cello.Recurrent(cello.ElmanCell(I, H, "sigmoid")),
        lambda: cello.Recurrent(zoo.MGUCell(I, H)),
        lambda: cello.RNN(I, H),
        lambda: cello.LSTM(I, H // 2, bidirectional=True),
    ],
)
def test_a_net_that_has_learnt_is_healthy(layer: Callable[[], nn.Module]):
    net = cello.Stack(layer(), nn.Linear(H, 1))
    assert train(net, delay=1) < 0.5
    found = cello.diagnose(net, inputs())
    assert found.kinds == []
    assert repr(found).startswith("no findings in 320 steps of 8 sequences\n\nwhat is left of")


@pytest.mark.parametrize(
    "net",
    [
        lambda: stack(cello.LSTMCell(I, H)),
        lambda: stack(cello.GRUCell(I, H)),
        lambda: cello.LSTM(I, H, num_layers=2, bidirectional=True),
        lambda: cello.Stack(cello.Bidirectional(cello.GRUCell(I, H)), cello.GRU(2 * H, H)),
        lambda: cello.LSTM(I, H, proj_size=3, batch_first=True),
        lambda: cello.RNN(I, H),
        lambda: cello.Recurrent(cello.ElmanCell(I, H, "sigmoid")),
        lambda: cello.Recurrent(cello.JordanCell(I, H, 3)),
        lambda: cello.accelerate(nn.Sequential(nn.GRU(I, H, 2))),
        LastStates,
    ],
)
def test_fresh_nets_with_a_memory_are_healthy(net: Callable[[], nn.Module]):
    assert cello.diagnose(net(), inputs()).kinds == []


@pytest.mark.parametrize("name", ["lstm", "gru", "leaky", "two-sizes", "ClockworkCell"])
def test_states_that_no_input_reaches_are_not_dead(name: str):
    layer = cello.Recurrent(registry.make(name))
    x = torch.randn(T, B, layer.input_size, dtype=torch.float64)
    assert cello.diagnose(layer, x).kinds == []


def test_ids_words_and_masks_are_no_inputs_of_wrong_scale():
    net = cello.Stack(nn.Embedding(1000, 8), cello.Recurrent(cello.LSTMCell(8, H)))
    assert cello.diagnose(net, torch.randint(0, 1000, (T, B))).kinds == []
    rare = F.one_hot((torch.rand(4000, B) < 0.001).long() + 3, I).float()
    found = cello.diagnose(cello.Recurrent(cello.LSTMCell(I, 4)), rare[:60])
    assert found.kinds == []


@pytest.mark.parametrize("sizes", [(1, 1, 20), (2, 1, 20), (4, 1, 20), (1, 8, 20)])
def test_of_a_few_steps_little_is_said(sizes: tuple[int, int, int]):
    for seed in range(20):
        torch.manual_seed(seed)
        assert cello.diagnose(cello.LSTM(20, H), torch.rand(sizes)).kinds == []


def test_padding_is_not_looked_at():
    layer = cello.Recurrent(cello.LSTMCell(I, H))
    x, lengths = inputs(), torch.tensor([40, 3, 20, 9, 40, 1, 12, 33])
    ends = torch.arange(T)[:, None] >= lengths
    x[ends] = 1e9
    assert cello.diagnose(layer, x, lengths=lengths).kinds == []
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    assert cello.diagnose(layer, packed).kinds == []
    batch_first = cello.Stack(layer, batch_first=True)
    assert cello.diagnose(batch_first, x.transpose(0, 1), lengths=lengths).kinds == []


# ------------------------------------------------------------ planted illnesses


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        (lambda x: 255 * x, "5 of 5 features are large"),
        (lambda x: 0.001 * x, "next to nothing comes in"),
        (lambda x: x * torch.tensor([1, 1, 1e-4, 1, 1]), "times as far as another"),
        (lambda x: x.masked_fill(torch.arange(T)[:, None, None] == 3, torch.nan), "8 of 320 steps"),
    ],
)
def test_inputs(change: Callable[[Tensor], Tensor], evidence: str):
    found = cello.diagnose(stack(cello.LSTMCell(I, H)), change(inputs()))
    assert found.kinds[0].startswith("inputs")
    assert evidence in found.findings[0].evidence
    assert found.findings[0].where == ""


@torch.no_grad()
def lstm(**biases: float) -> cello.Stack:
    cell = cello.LSTMCell(I, H)
    for gate, bias in biases.items():
        cell.b.view(4, H)["ifgo".index(gate)] += bias
    return stack(cell)


@pytest.mark.parametrize(
    ("net", "kind", "where", "evidence"),
    [
        (lambda: lstm(i=-20), "saturated gate", "0.i", "100% of the units are always shut"),
        (lambda: lstm(o=20), "saturated gate", "0.o", "100% of the units are always open"),
        (lambda: lstm(g=20), "saturated units", "0.g", "always at -1 or 1"),
        (lambda: lstm(f=-6), "forgets at once", "0.c", "one step keeps 0."),
    ],
)
def test_gates(net: Callable[[], nn.Module], kind: str, where: str, evidence: str):
    found = {(f.kind, f.where): f.evidence for f in cello.diagnose(net(), inputs())}
    assert evidence in found[kind, where]


def test_a_gate_that_nothing_steers():
    net = lstm()
    with torch.no_grad():
        for weights in (net[0].cell.W, net[0].cell.R):
            weights.view(4, H, -1)[1, :5] = 0
    (found,) = cello.diagnose(net, inputs())
    assert (found.kind, found.where) == ("dead gate", "0.f")
    assert found.evidence == "5 of 16 units hold one value at all steps of all sequences"


@torch.no_grad()
def jordan(output_activation: str, scale: float, outputs: int = 4) -> cello.Stack:
    cell = cello.JordanCell(I, H, outputs, "tanh", output_activation)
    cell.V *= scale
    if output_activation == "softmax":
        cell.d[0] -= 100  # a class that is never named is not dead
    return cello.Stack(cello.Recurrent(cell))


@pytest.mark.parametrize(
    ("output_activation", "scale", "seen"),
    [
        ("softmax", 30.0, True),
        ("softmax", 1.0, False),  # as it begins: what it gives out still tells of all it read
        ("tanh", 1.0, False),
        ("identity", 30.0, False),
    ],
)
def test_a_memory_of_nothing_but_the_answer(output_activation: str, scale: float, seen: bool):
    findings = {f.kind: f for f in cello.diagnose(jordan(output_activation, scale), inputs())}
    kind = "remembers only what it said"
    assert (kind in findings) == seen
    assert "dead units" not in findings
    if seen:
        assert findings[kind].where == "0.y"
        assert "one of them is 0.9 or more" in findings[kind].evidence
        assert "--window" in findings[kind].helps


class SurePlusHidden(cello.ElmanCell):
    """Its output is a softmax that has decided, and it remembers its hidden layer."""

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(F.linear(x, self.W, self.b) + F.linear(h, self.R))
        y = torch.softmax(30 * h, -1)
        return y, (h,)


def test_who_remembers_more_than_the_answer():
    found = cello.diagnose(cello.Recurrent(SurePlusHidden(I, H)), inputs())
    assert "remembers only what it said" not in found.kinds


@torch.no_grad()
def elman(activation: str, scale: float, bias: float = 0.0) -> cello.Stack:
    """Its recurrent weights are a rotation, times `scale`."""
    cell = cello.ElmanCell(I, H, activation)
    nn.init.orthogonal_(cell.R, scale)
    cell.b.fill_(bias)
    return stack(cell)


@pytest.mark.parametrize(
    ("net", "kinds"),
    [
        (lambda: elman("tanh", 0.99), []),
        (lambda: elman("tanh", 0.01), ["gradient vanishes"]),
        (lambda: elman("identity", 1.25), ["state explodes", "gradient explodes"]),
        (lambda: elman("identity", 1e3), ["state explodes", "gradient explodes"]),
        (lambda: elman("relu", 0.9, -9.0), ["dead units", "gradient vanishes"]),
        (lambda: elman("tanh", 1.0, 20.0), ["saturated units", "dead units", "gradient vanishes"]),
    ],
)
def test_states_and_gradients_along_time(net: Callable[[], nn.Module], kinds: list[str]):
    assert cello.diagnose(net(), inputs()).kinds == kinds


def test_what_is_read_only_at_the_end_needs_a_longer_memory():
    """A net that shrinks gradients by half may do for a task that asks at every step."""
    rnn = elman("tanh", 0.4)[0]
    assert cello.diagnose(rnn, inputs()).kinds == []
    for loss in (lambda y: y[-1].sum(), lambda y: y[-3:].sum()):
        (found,) = cello.diagnose(rnn, inputs(), loss=loss)
        assert (found.kind, found.where) == ("gradient vanishes", "")
        assert "through 30 steps" in found.evidence
    assert cello.diagnose(Final(cello.Stack(rnn)), inputs()).kinds == ["gradient vanishes"]


class Final(nn.Module):
    """What is left of a net is its final state."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[1][0].h


def test_a_state_that_vanishes():
    x = inputs()
    x[5:] = 0
    net = elman("tanh", 0.7)
    found = {f.kind: f for f in cello.diagnose(net, x)}
    assert found["state vanishes"].where == "0.h"
    assert "of the reading and 1e-6 at the end" in found["state vanishes"].evidence
    x = x.flip(0)
    net[0].reverse = True
    assert "state vanishes" in cello.diagnose(net, x).kinds


class ReadsAt(nn.Module):
    """A classifier of sequences that reads both halves of the output at one step."""

    def __init__(self, rnn: nn.Module, t: int) -> None:
        super().__init__()
        self.rnn, self.t = rnn, t
        self.readout = nn.Linear(2 * H, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.rnn(x)[0][self.t])


@pytest.mark.parametrize(
    ("t", "where", "place"), [(-1, "backward", "last"), (0, "forward", "first")]
)
@pytest.mark.parametrize("ours", [True, False])
def test_outputs_read_at_the_wrong_end(t: int, where: str, place: str, ours: bool):
    drop_in = cello.LSTM(I, H, bidirectional=True)
    rnn = cello.Bidirectional(cello.LSTMCell(I, H)) if ours else drop_in
    found = cello.diagnose(ReadsAt(rnn, t), inputs())
    assert found.kinds == ["read at the wrong end"]
    assert found.findings[0].where == ("rnn." if ours else "rnn.0.") + where
    assert f"only on the {place} step" in found.findings[0].evidence


def test_a_loss_that_reads_at_the_wrong_end():
    net = cello.Bidirectional(cello.GRUCell(I, H))
    assert cello.diagnose(net, inputs()).kinds == []
    assert cello.diagnose(net, inputs(), loss=lambda y: y[-1].sum()).kinds == [
        "read at the wrong end"
    ]


class OfLengths(nn.Module):
    """A classifier of sequences of different length that takes one step of each."""

    def __init__(self, rnn: nn.Module, last: bool, packed: bool) -> None:
        super().__init__()
        self.rnn, self.last, self.packed = rnn, last, packed
        self.readout = nn.Linear(H, 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if self.packed:
            y, _ = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
            y, _ = pad_packed_sequence(y)
        else:
            y, _ = self.rnn(x, lengths=lengths)
        return self.readout(y[-1] if self.last else y[lengths - 1, torch.arange(B)])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_outputs_read_past_the_end(packed: bool, last: bool):
    rnn = cello.GRU(I, H, num_layers=2) if packed else cello.Recurrent(cello.LSTMCell(I, H))
    net, lengths = OfLengths(rnn, last, packed), torch.tensor([40, 3, 40, 20, 19, 33, 8, 39])
    found = cello.diagnose(net, inputs(), lengths=lengths)
    assert found.kinds == ["read past the end"] * last
    if last:
        assert found.findings[0].where == ("rnn.1" if packed else "rnn")
        assert "nothing of 6 of 8 sequences" in found.findings[0].evidence
    assert cello.diagnose(net, inputs(), lengths=torch.full((B,), T)).kinds == []


# ------------------------------------------------------------ the report


def test_the_report():
    found = cello.diagnose(lstm(f=-6), inputs())
    lines = str(found).splitlines()
    assert lines[0] == f"{len(found)} findings in 320 steps of 8 sequences"
    assert "0.c: forgets at once" in lines
    assert any(line.startswith("  what usually helps: begin with forget gates") for line in lines)
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("  0.state  1: ")
    assert list(found.gradients()["0"]) == [1, 3, 10, 30]
    assert [finding.kind for finding in found] == found.kinds


def test_one_step():
    assert cello.diagnose(lstm(), torch.randn(1, 1, I)).seen == "1 step of 1 sequence"


def test_short_sequences_say_nothing_of_time():
    assert cello.diagnose(elman("identity", 1.3), torch.randn(4, 1, I)).kinds == []


def test_a_net_that_returns_no_tensor_needs_a_loss():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.LSTMCell(I, H))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"y": self.rnn(x)[0]}

    with pytest.raises(ArgumentError, match="loss must be given, for the net returns no tensor"):
        cello.diagnose(Model(), inputs())
    assert cello.diagnose(Model(), inputs(), loss=lambda out: out["y"].sum()).kinds == []
