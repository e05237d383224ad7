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
    engine = data.draw(st.sampled_from(["cpu", "split", "reference"]))
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
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-12)

    def gradients(net: nn.Module, results: list[Tensor]) -> tuple[Tensor, ...]:
        loss = sum(r.sin().sum() for r in results)
        return torch.autograd.grad(loss, [x, *net.parameters()], retain_graph=True)

    for mine, yours in zip(gradients(ours, found), gradients(theirs, expected), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_is_theirs(kind: str) -> None:
    ours, theirs = getattr(cello, kind), getattr(nn, kind)
    assert issubclass(ours, nn.RNNBase)
    assert not issubclass(ours, theirs)  # torch.compile refuses such: see test_traced
    arguments, expected = (inspect.signature(kind.__init__).parameters for kind in (ours, theirs))
    assert arguments.keys() == expected.keys()
    names = list(inspect.signature(ours.forward).parameters)
    assert names == ["self", "input", "hx", "lengths", "reset"]


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers(kind: str) -> None:
    theirs, ours = pair(kind, num_layers=3, dropout=0.5, bidirectional=True)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    for engine in ("cpu", "split", "reference"):
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
def test_inside_a_stack(kind: str) -> None:
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    expected, state = theirs(x)
    for batch_first in (False, True):
        ours.batch_first = batch_first
        net = cello.Stack(ours, nn.Identity(), batch_first=batch_first)
        given_x = x.transpose(0, 1) if batch_first else x
        y, (end, _) = net(given_x)
        torch.testing.assert_close(y.transpose(0, 1) if batch_first else y, expected)
        torch.testing.assert_close(flat(end), flat(state))
        assert torch.equal(net(given_x, (end, None))[0], ours(given_x, end)[0])
    ours.batch_first = False
    single, end = cello.Stack(ours)(x[:, 1])
    assert torch.equal(single, ours(x[:, 1])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_float32_errs_about_as_much_as_theirs(kind: str) -> None:
    theirs = getattr(nn, kind)(3, 32, num_layers=2)
    ours, truth = cello.accelerate(theirs), copy.deepcopy(theirs).double()
    x = torch.randn(100, 8, 3)

    def outcome(layer: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        y, _ = layer(x)
        gradients = torch.autograd.grad(y.sin().sum(), list(layer.parameters()))
        return y, [gradient.flatten() for gradient in gradients]

    output, gradients = outcome(truth, x.double())

    def errors(layer: nn.Module) -> tuple[Tensor, Tensor]:
        y, found = outcome(layer, x)
        off = [(mine - g) / g.std() for mine, g in zip(found, gradients, strict=True)]
        return (y - output).square().mean().sqrt(), torch.cat(off).square().mean().sqrt()

    for mine, yours in zip(errors(ours), errors(theirs), strict=True):
        assert mine < 1.5 * yours


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
    with cello.engine("cpu"):
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
        for layer in (ours, theirs):
            layer.flatten_parameters()
            halves = {name: value / 2 for name, value in layer.state_dict().items()}
            layer.load_state_dict(halves, assign=True)
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])
        for layer in (ours, theirs):
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
            layer(x)[0].sin().sum().backward()
            optimizer.step()
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])
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
    torch.testing.assert_close(fast(x), model(x))
    assert type(cello.accelerate(OwnLSTM(3, 4))) is OwnLSTM
    assert type(cello.accelerate(nn.GRU(3, 4))) is cello.GRU


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_run_our_cells(kind: str) -> None:
    layer = getattr(cello, kind)(3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(2, 5, 2, 3)
    batched = torch.vmap(lambda part: layer(part)[0])(x)
    torch.testing.assert_close(batched, torch.stack([layer(part)[0] for part in x]))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_gradients(kind: str) -> None:
    _, layer = pair(kind, num_layers=2)  # theirs cannot: the fused LSTM has no second gradients
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

    def twice(engine: str) -> list[Tensor]:
        leaves = [x, *layer.parameters()]
        with cello.engine(engine):
            y = layer(x)[0]
        first = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))

    torch.testing.assert_close(twice("cpu"), twice("reference"), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_same_parameters_for_the_same_seed(kind: str) -> None:
    made = []
    for module in (nn, cello):
        torch.manual_seed(5)
        made.append([*getattr(module, kind)(3, 4, num_layers=2).parameters(), torch.randn(2)])
    assert all(map(torch.equal, *made))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_script_is_made_of_torchs_own_code() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.GRU(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0]

    model, x = Model(), torch.randn(5, 2, 3)
    script = torch.jit.script(model)
    torch.testing.assert_close(script(x), model(x))
    with torch.no_grad():
        model.rnn.weight_ih_l0.zero_()
    torch.testing.assert_close(script(x), model(x))


def test_replaced_and_computed_parameters() -> None:
    layer, x = cello.LSTM(3, 4), torch.randn(5, 2, 3)
    nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    layer(x)[0].sum().backward()
    gains = layer.parametrizations.weight_hh_l0.original0
    assert gains.grad.abs().sum() > 0
    before = layer(x)[0]
    with torch.no_grad():
        gains.mul_(2)
    assert not torch.allclose(layer(x)[0], before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subclass_draws_its_own_initial_weights(kind: str) -> None:
    def own(module: object) -> type:
        class Own(getattr(module, kind)):  # type: ignore[misc]
            def __init__(self, *args: object, **options: object) -> None:
                self.gain = 0.5  # read while the constructor of the layer runs
                self.flattened = 0
                super().__init__(*args, **options)

            def reset_parameters(self) -> None:
                for name, weight in self.named_parameters():
                    if "weight" in name:
                        nn.init.orthogonal_(weight, self.gain)
                    else:
                        nn.init.ones_(weight)

            def flatten_parameters(self) -> None:
                self.flattened += 1

        return Own

    made = []
    for module in (nn, cello):
        torch.manual_seed(5)
        layer = own(module)(3, 4, num_layers=2, bidirectional=True)
        assert layer.flattened == 1
        made.append([*layer.parameters(), torch.randn(2)])
    assert all(map(torch.equal, *made))
    assert made[1][2].eq(1).all()  # a bias
    layer.reset_parameters()
    x = torch.randn(5, 2, 3)
    with cello.engine("reference"):
        expected = layer(x)[0]
    torch.testing.assert_close(layer(x)[0], expected)
