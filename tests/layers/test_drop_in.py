"""The drop-ins against their namesakes in `torch.nn`, over a generated space of options."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import cello
from cello.layers import DropIn

KINDS = ["RNN", "LSTM", "GRU"]


def pair(kind: str, **options: object) -> tuple[nn.RNNBase, DropIn]:
    theirs = getattr(nn, kind)(3, 4, **options).double()
    ours = getattr(cello, kind)(3, 4, **options).double()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def flat(result: object) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, PackedSequence):
        return [result.data]
    return [tensor for part in result for tensor in flat(part)]


def options(kind: str) -> st.SearchStrategy[dict]:
    space = {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
    }
    if kind == "LSTM":
        space["proj_size"] = st.sampled_from([0, 2])
    if kind == "RNN":
        space["nonlinearity"] = st.sampled_from(["tanh", "relu"])
    return st.fixed_dictionaries(space)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_results_and_gradients_are_theirs(kind: str, data: st.DataObject) -> None:
    chosen = data.draw(options(kind))
    form = data.draw(st.sampled_from(["batch", "unbatched", "packed"]))
    engine = data.draw(st.sampled_from(["auto", "split", "reference"]))
    with_state = data.draw(st.booleans())
    theirs, ours = pair(kind, **chosen)
    T, B = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    x = torch.randn((B, T, 3) if chosen["batch_first"] else (T, B, 3), dtype=torch.float64)
    x.requires_grad_()
    given_x: object = x
    rows: list[int] = [B]
    if form == "unbatched":
        given_x, rows = x.select(0 if chosen["batch_first"] else 1, 0), []
    if form == "packed":
        lengths = torch.tensor(data.draw(st.lists(st.integers(1, T), min_size=B, max_size=B)))
        lengths[0] = T
        given_x = pack_padded_sequence(x, lengths, chosen["batch_first"], enforce_sorted=False)
    hx = None
    if with_state:
        count = chosen["num_layers"] * (1 + chosen["bidirectional"])
        sizes = [chosen.get("proj_size") or 4, 4] if kind == "LSTM" else [4]
        parts = tuple(torch.randn(count, *rows, size, dtype=torch.float64) for size in sizes)
        hx = parts if kind == "LSTM" else parts[0]

    expected = flat(theirs(given_x, hx))
    with cello.engine(engine):
        found = flat(ours(given_x, hx))
    for mine, yours in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, yours)

    def gradients(net: nn.Module, results: list[Tensor]) -> tuple[Tensor, ...]:
        loss = sum(r.sin().sum() for r in results)
        return torch.autograd.grad(loss, [x, *net.parameters()], retain_graph=True)

    for mine, yours in zip(gradients(ours, found), gradients(theirs, expected), strict=True):
        torch.testing.assert_close(mine, yours)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_is_theirs(kind: str) -> None:
    ours, theirs = getattr(cello, kind), getattr(nn, kind)
    assert issubclass(ours, theirs)
    assert inspect.signature(ours.__init__) == inspect.signature(theirs.__init__)
    names = list(inspect.signature(ours.forward).parameters)
    assert names == ["self", "input", "hx", "lengths", "reset"]


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers(kind: str) -> None:
    theirs, ours = pair(kind, num_layers=3, dropout=0.5, bidirectional=True)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    for engine in ("auto", "split", "reference"):
        torch.manual_seed(3)
        expected, _ = theirs(x)
        torch.manual_seed(3)
        with cello.engine(engine):
            found, _ = ours(x)
        torch.testing.assert_close(found, expected)
    theirs.eval()
    ours.eval()
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_and_resets(kind: str) -> None:
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(6, 4, 3, dtype=torch.float64), torch.tensor([6, 0, 2, 5])
    y, state = ours(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert not y[length:, row].any()
        if length:
            single, end = theirs(x[:length, row])
            torch.testing.assert_close(y[:length, row], single)
            torch.testing.assert_close([part[:, row] for part in flat(state)], flat(end))
        else:
            assert not any(part[:, row].any() for part in flat(state))
    theirs, ours = pair(kind)
    reset = torch.zeros(6, 4, dtype=torch.bool)
    reset[3, 1] = True
    y, _ = ours(x, reset=reset)
    torch.testing.assert_close(y[:3], theirs(x)[0][:3])
    torch.testing.assert_close(y[3:, 1], theirs(x[3:, 1])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_full_sequences_run_on_torchs_own_code(kind: str) -> None:
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    expected, state = theirs(x)
    for batch_first in (False, True):
        ours.batch_first = batch_first
        net = cello.Stack(ours, nn.Identity(), batch_first=batch_first)
        given_x = x.transpose(0, 1) if batch_first else x
        y, (end, _) = net(given_x)
        assert torch.equal(y.transpose(0, 1) if batch_first else y, expected)
        assert all(map(torch.equal, flat(end), flat(state)))
        assert torch.equal(net(given_x, (end, None))[0], ours(given_x, end)[0])
    ours.batch_first = False
    single, end = cello.Stack(ours)(x[:, 1])
    assert torch.equal(single, ours(x[:, 1])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_run(kind: str) -> None:
    _, ours = pair(kind, num_layers=2, bidirectional=True)
    y, state = ours(torch.zeros(0, 4, 3, dtype=torch.float64))
    assert y.shape == (0, 4, 8)
    assert not any(part.any() for part in flat(state))
    assert ours(torch.zeros(5, 0, 3, dtype=torch.float64))[0].shape == (5, 0, 8)


def test_parameters_are_read_as_they_are_now() -> None:
    theirs, ours = pair("LSTM", num_layers=2)
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    with cello.engine("split"):
        ours(x)
        with torch.no_grad():
            ours.weight_hh_l1.mul_(2)
            theirs.weight_hh_l1.mul_(2)
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])
        ours.weight_ih_l0 = nn.Parameter(torch.zeros_like(ours.weight_ih_l0))
        theirs.weight_ih_l0 = nn.Parameter(torch.zeros_like(theirs.weight_ih_l0))
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])
        for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            assert torch.equal(twin(x)[0], ours(x)[0])
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    replaced = {n: torch.randn_like(p) for n, p in ours.named_parameters()}
    with cello.engine("reference"):
        found, _ = torch.func.functional_call(ours, replaced, (x,))
    expected, _ = torch.func.functional_call(theirs, replaced, (x,))
    torch.testing.assert_close(found, expected)


def test_accelerate_shares_parameters_and_leaves_the_model_alone() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.LSTM(3, 4, 2, bidirectional=True)
            self.inner = nn.ModuleDict({"gru": nn.GRU(8, 4), "norm": nn.BatchNorm1d(4)})
            self.out = nn.RNN(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y, _ = self.inner["gru"](self.first(x)[0])
            return self.out(y)[0]

    class OwnLSTM(nn.LSTM):
        pass

    model = Model()
    fast = cello.accelerate(model)
    assert type(model.first) is nn.LSTM
    assert [type(m) for m in (fast.first, fast.inner["gru"], fast.out)] == [
        cello.LSTM,
        cello.GRU,
        cello.RNN,
    ]
    for (name, ours), (_, theirs) in zip(
        fast.named_parameters(), model.named_parameters(), strict=True
    ):
        assert ours is theirs, name
    assert fast.inner["norm"].running_mean is model.inner["norm"].running_mean
    x = torch.randn(5, 2, 3)
    assert torch.equal(fast(x), model(x))
    assert type(cello.accelerate(OwnLSTM(3, 4))) is OwnLSTM
    assert type(cello.accelerate(nn.GRU(3, 4))) is cello.GRU


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_run_our_cells(kind: str) -> None:
    layer = getattr(cello, kind)(3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(2, 5, 2, 3)
    batched = torch.vmap(lambda part: layer(part)[0])(x)
    torch.testing.assert_close(batched, torch.stack([layer(part)[0] for part in x]))
