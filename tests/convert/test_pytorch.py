"""PyTorch's modules and weights made ours, and ours made PyTorch's: equal, or refused by name."""

import copy
import pickle
import re
import traceback

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import cello
from cello import accelerate, from_torch, proof_of, to_torch
from cello.cells import TorchLSTMCell
from cello.convert.pytorch.same_as_torch import torch_weights
from cello.errors import ArgumentError, ConversionError, DtypeError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS = {
    "LSTM": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "projected": lambda: nn.LSTM(3, 4, 2, proj_size=2),
    "GRU": lambda: nn.GRU(3, 4, 2),
    "no bias": lambda: nn.GRU(3, 4, bias=False, bidirectional=True),
    "RNN": lambda: nn.RNN(3, 4, 3),
    "one unit": lambda: nn.LSTM(1, 1),
    "double": lambda: nn.LSTM(3, 4, dtype=torch.float64),
}


def _x(net, T=5, B=2):
    torch.manual_seed(1)
    return torch.randn(T, B, net.input_size, dtype=next(net.parameters()).dtype)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
class TestStateDict:
    def test_layer_computes_what_its_namesake_does(self, make):
        theirs = make()
        ours = from_torch(theirs.state_dict())
        assert type(ours) is getattr(cello, type(theirs).__name__)
        x = _x(theirs)
        torch.testing.assert_close(ours(x), theirs(x))

    def test_there_and_back_is_the_same_to_the_bit(self, make):
        theirs = make()
        again = to_torch(from_torch(theirs.state_dict()))
        assert type(again) is type(theirs)
        x = _x(theirs)
        assert torch.equal(again(x)[0], theirs(x)[0])

    def test_layer_is_found_among_other_weights(self, make, tmp_path):
        net = nn.ModuleDict({"embed": nn.Linear(2, 3), "rnn": make()})
        save_file(net.state_dict(), tmp_path / "net.safetensors")
        torch.save(net.state_dict(), tmp_path / "net.pt")
        for file in ("net.safetensors", "net.pt"):
            ours = from_torch(tmp_path / file, prefix="rnn.")
            x = _x(net["rnn"])
            torch.testing.assert_close(ours(x), net["rnn"](x))


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cell_from_its_weights_and_back(kind):
    theirs = kind(3, 4)
    ours = from_torch(theirs.state_dict())
    x = torch.randn(2, 3)
    expected = theirs(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(ours(x)[0], expected)
    torch.testing.assert_close(to_torch(cello.Recurrent(ours))(x[None])[0][0], expected)


def test_nonlinearity_and_batch_first_are_the_callers_to_say():
    theirs = nn.RNN(3, 4, nonlinearity="relu", batch_first=True)
    ours = from_torch(theirs.state_dict(), nonlinearity="relu", batch_first=True)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(ours(x), theirs(x))


def test_module_is_copied_with_our_layers_in_it():
    theirs = nn.Sequential(nn.LSTM(3, 4))
    ours = from_torch(theirs)
    assert type(ours[0]) is cello.LSTM
    assert type(theirs[0]) is nn.LSTM
    assert ours[0].weight_hh_l0 is not theirs[0].weight_hh_l0
    torch.testing.assert_close(ours(_x(theirs[0])), theirs(_x(theirs[0])))


@pytest.mark.parametrize(
    "cell",
    [
        lambda: cello.LSTMCell(3, 4),
        lambda: cello.LSTMCell(3, 4, bias=False, projection_size=2),
        lambda: cello.LSTMCell(3, 4, recurrent=False),
        lambda: cello.GRUCell(3, 4),
        lambda: cello.GRUCell(3, 4, recurrent_bias=True, bias=False),
        lambda: cello.GRUCell(3, 4, bias=False),
        lambda: cello.ElmanCell(3, 4, activation="relu"),
        lambda: TorchLSTMCell(3, 4),
    ],
)
@pytest.mark.parametrize("layer", [cello.Recurrent, cello.Bidirectional])
def test_our_layers_become_theirs(cell, layer):
    ours = layer(cell(), batch_first=True)
    theirs = to_torch(ours)
    assert type(theirs).__module__.startswith("torch.")
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(theirs(x)[0], ours(x)[0])


def test_stack_becomes_a_graph_without_anything_of_ours(tmp_path):
    net = cello.Stack(
        nn.Embedding(7, 3),
        cello.Bidirectional(cello.GRUCell(3, 4)),
        nn.Dropout(0.5),
        cello.Stack(cello.LSTM(8, 2), nn.Linear(2, 1), batch_first=True),
        batch_first=True,
    ).eval()
    theirs = to_torch(net)
    assert not any(type(m).__module__.startswith("cello") for m in theirs.modules())
    x = torch.randint(7, (2, 5))
    torch.testing.assert_close(theirs(x), net(x)[0])
    assert not theirs.training
    torch.testing.assert_close(copy.deepcopy(theirs)(x), net(x)[0])


def test_a_users_module_keeps_its_own_forward():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = cello.GRU(3, 4, batch_first=True)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.rnn(x)[0])

    ours = Tagger()
    theirs = to_torch(ours)
    assert type(theirs.rnn) is nn.GRU
    assert type(ours.rnn) is cello.GRU
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(theirs(x), ours(x))


REFUSED = {
    "peepholes": lambda: cello.Recurrent(cello.LSTMCell(3, 4, peephole=True)),
    "its gate_activation is 'hard_sigmoid', not sigmoid": lambda: cello.Recurrent(
        cello.GRUCell(3, 4, gate_activation="hard_sigmoid")
    ),
    "resets before the product": lambda: cello.Recurrent(cello.GRUCell(3, 4, reset_after=False)),
    "'identity', not tanh or relu": lambda: cello.Recurrent(cello.ElmanCell(3, 4, "identity")),
    r"net.cell \(JordanCell\).* an RNN, an LSTM and a GRU only": lambda: cello.Recurrent(
        cello.JordanCell(3, 4, 2)
    ),
    "reads in reverse": lambda: cello.Recurrent(cello.GRUCell(3, 4), reverse=True),
    "learns its initial state": lambda: cello.Recurrent(
        cello.GRUCell(3, 4), initial_state="learned"
    ),
    "joins by 'sum'": lambda: cello.Bidirectional(cello.GRUCell(3, 4), join="sum"),
    "another cell backward": lambda: cello.Bidirectional(
        cello.GRUCell(3, 4), cello.GRUCell(3, 4, bias=False)
    ),
    r"net\[1\].cell \(JordanCell\)": lambda: cello.Stack(
        nn.Identity(), cello.Recurrent(cello.JordanCell(3, 4, 2))
    ),
    "projects": lambda: cello.LSTMCell(3, 4, projection_size=2),
}


@pytest.mark.parametrize(("why", "make"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_pytorch_has_not_is_refused_by_name(why, make):
    with pytest.raises(ModelError, match=why):
        to_torch(make())


def test_a_step_of_the_users_own_is_refused():
    class Mine(cello.GRUCell):
        def step(self, x, h):
            y, state = super().step(x, h)
            return 2 * y, state

    with pytest.raises(ModelError, match="Mine"):
        to_torch(cello.Recurrent(Mine(3, 4)))


class TestProof:
    """Nothing is returned that does not compute what the other side computes."""

    @pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
    def test_it_says_how_equal_the_two_are(self, make):
        ours = from_torch(make())
        for made in (ours, to_torch(ours)):
            assert proof_of(made).cases == 19
            assert proof_of(made).relative < 1e-5
            assert not proof_of(made).not_run

    def test_of_each_layer_and_of_a_stack_as_a_whole(self):
        net = cello.Stack(cello.LSTM(3, 4), cello.Bidirectional(cello.GRUCell(4, 2)), nn.Tanh())
        assert proof_of(to_torch(net)).cases == 19 + 19 + 8
        net = cello.Stack(nn.Softmax(-1), cello.LSTM(3, 4))
        proof = proof_of(to_torch(net))
        assert (proof.cases, "its first module, Softmax" in proof.not_run) == (19, True)
        assert proof_of(net) is None

    def test_cells(self):
        for cell in (nn.RNNCell(3, 4), nn.LSTMCell(3, 4), nn.GRUCell(3, 4)):
            ours = from_torch(cell)
            assert proof_of(ours).cases == proof_of(to_torch(ours)).cases == 19

    def test_half_precision_and_no_numbers(self):
        proof = proof_of(from_torch(nn.LSTM(3, 4, dtype=torch.float16)))
        assert proof.cases == 19
        proof = proof_of(from_torch(nn.LSTM(3, 4, device="meta")))
        assert (proof.cases, str(proof)) == (
            0,
            "not run: nn.LSTM: on the meta device there are no numbers",
        )

    def test_a_wrong_weight_is_found(self, monkeypatch):
        def wrong(cell, path):
            found = torch_weights(cell, path)
            return found._replace(weight_hh=found.weight_hh + 0.1)

        monkeypatch.setattr("cello.convert.pytorch.to_pytorch.torch_weights", wrong)
        net = cello.Recurrent(cello.GRUCell(3, 4))
        with pytest.raises(ConversionError, match=r"net as nn\.GRU is not equal to the net"):
            to_torch(net)
        with pytest.raises(ConversionError, match=r"net\[0\] as nn.GRU is not equal"):
            to_torch(cello.Stack(net))

    def test_a_layer_that_was_read_wrong_is_found(self, monkeypatch):
        def wrong(module):
            made = accelerate(copy.deepcopy(module))
            made[1].bias_hh_l0.data[0] += 0.1
            return made

        monkeypatch.setattr("cello.convert.pytorch.from_pytorch.accelerate", wrong)
        with pytest.raises(ConversionError, match=r"^nn\.LSTM 1 is not equal to the net"):
            from_torch(nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 4)))

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own quantization
    @pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
    def test_there_is_nothing_to_prove_where_nothing_is_replaced(self):
        net = nn.Sequential(nn.LSTM(3, 4))
        quantized = torch.ao.quantization.quantize_dynamic(net, {nn.LSTM})
        for made in map(from_torch, (nn.Linear(3, 4), quantized)):
            assert str(cello.proof_of(made)).startswith("not run: no layer of it is PyTorch's RNN")

    def test_weights_that_are_no_numbers_are_told(self):
        state = nn.LSTM(3, 4).state_dict()
        state["weight_hh_l0"][0, 0] = torch.nan
        told = "; but the weights contain NaN: weight_hh_l0 (1 of 4 tensors)"
        assert str(cello.proof_of(from_torch(state))).endswith(told)


class TestBadInput:
    def test_what_is_left_out_is_said(self):
        state = nn.ModuleDict({"rnn": nn.GRU(2, 3), "out": nn.Linear(3, 1)}).state_dict()
        with pytest.warns(UserWarning, match=r"'rnn\.' alone .* left out: out\.weight, out\.bias"):
            from_torch(state)
        assert isinstance(from_torch(state, prefix="rnn."), cello.GRU)

    def test_several_layers_and_no_prefix(self):
        state = nn.ModuleDict({"a": nn.LSTM(2, 2), "b": nn.GRU(2, 2)}).state_dict()
        with pytest.raises(ArgumentError, match=r"found 2 \('a.', 'b.'\); choose one by prefix="):
            from_torch(state)
        with pytest.raises(ArgumentError, match=r"prefix='c.' is none of"):
            from_torch(state, prefix="c.")
        at_the_top = nn.GRU(2, 2).state_dict()
        with pytest.raises(ArgumentError, match=r"found 2 \('a.', '' \(no prefix\)\); choose"):
            from_torch({"a.weight_ih_l0": state["a.weight_ih_l0"], **at_the_top})

    @pytest.mark.parametrize("key", ["weight_ih_l0", "bias_hh_l0"])
    def test_numbers_that_no_weights_are_made_of(self, key):
        state = nn.GRU(3, 4).state_dict()
        told = f"{key} must be of float64, float32, float16, bfloat16, found int8"
        with pytest.raises(ModelError, match=told):
            from_torch(state | {key: state[key].to(torch.int8)})

    def test_no_layer(self):
        with pytest.raises(ArgumentError, match=r"found 0 \(none\)"):
            from_torch(nn.Linear(2, 2).state_dict())

    def test_neither_module_nor_weights(self):
        with pytest.raises(DtypeError, match="source must be a module"):
            from_torch(3)
        with pytest.raises(DtypeError, match="net must be a module"):
            to_torch(3)
        with pytest.raises(ArgumentError, match="nonlinearity must be"):
            from_torch(nn.RNN(2, 2).state_dict(), nonlinearity="sin")

    @pytest.mark.parametrize(
        ("key", "shape", "message"),
        [
            ("weight_hh_l0", (12, 5), "rows a unit"),
            ("weight_hh_l0", (11, 4), r"weight_hh_l0 must be \[12, 4\]"),
            ("weight_ih_l0", (13, 3), "rows a unit"),
            ("bias_hh_l0", (11,), r"bias_hh_l0 must be \[12\]"),
            (
                "weight_ih_l7",
                (12, 4),
                r"l7 must be absent in nn.GRU\(3, 4, num_layers=2\)",
            ),
            ("weight_ih_l999999999", (12, 4), "weight_ih_l999999999 must be absent"),
            ("weight_ih_l0_reverse", (12, 3), "must be"),
            ("weight_hr_l0", (2, 4), "only supported for LSTM"),
            ("weight_ih_l0", (), "as matrices"),
        ],
    )
    def test_shapes_of_no_layer(self, key, shape, message):
        state = nn.GRU(3, 4).state_dict() | {key: torch.zeros(shape)}
        with pytest.raises(ModelError, match=message):
            from_torch(state)

    def test_files_that_are_none(self, tmp_path):
        for name in ("net.safetensors", "net.pt"):
            file = tmp_path / name
            with pytest.raises(ModelError, match="does not exist"):
                from_torch(file)
            file.write_bytes(b"\xff" * 100)
            with pytest.raises(ModelError, match="is no file of weights"):
                from_torch(file)
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(ModelError, match="holds a list, not a state dict"):
            from_torch(tmp_path / "list.pt")

    def test_a_file_runs_no_code(self, tmp_path):
        torch.save(nn.LSTM(2, 2), tmp_path / "whole.pt")  # a pickle that names classes
        told = r"is no file of weights: it holds 'torch\.nn\.modules\.rnn\.LSTM', .*state_dict\(\)"
        with pytest.raises(ModelError, match=told):
            from_torch(tmp_path / "whole.pt")

    def test_no_error_tells_how_to_run_the_code_in_a_file(self, tmp_path):
        """Neither pickles, old archives nor what is damaged show PyTorch's own advice."""
        torch.save(nn.LSTM(2, 2), tmp_path / "whole.pt")
        (tmp_path / "plain.pt").write_bytes(pickle.dumps(print))
        (tmp_path / "zeros.pt").write_bytes(bytes(10_240))
        (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:300])
        for file in tmp_path.iterdir():
            with pytest.raises(ModelError, match="is no file of weights: it ") as caught:
                from_torch(file)
            shown = "".join(traceback.format_exception(caught.value))
            assert not re.search("weights_only` |you trust|\x1b", shown), file.name

    def test_tensors_without_numbers(self):
        with pytest.raises(ModelError, match="weight_ih_l0 is on the device meta"):
            from_torch(nn.LSTM(3, 4, device="meta").state_dict())

    @pytest.mark.parametrize("of", [lambda net: net, lambda net: net.state_dict()])
    def test_sparse_weights(self, of):
        net = nn.GRU(3, 4)
        net.weight_hh_l0 = nn.Parameter(net.weight_hh_l0.detach().to_sparse())
        with pytest.raises(ModelError, match=r"^weight_hh_l0 is sparse or quantized, not an array"):
            from_torch(of(net))
        with pytest.raises(ModelError, match=r"^1.weight_hh_l0 is sparse or quantized"):
            from_torch(of(nn.Sequential(nn.Linear(2, 3), net)))

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript itself
    def test_modules_of_torchscript(self, tmp_path):
        scripted = torch.jit.script(nn.LSTM(3, 4))
        with pytest.raises(DtypeError, match="a module of TorchScript"):
            from_torch(scripted)
        torch.jit.save(scripted, tmp_path / "net.pt")
        told = r"a program that torch\.jit\.save wrote, and code .* torch\.save\(torch\.jit\.load\("
        with pytest.raises(ModelError, match=told):
            from_torch(tmp_path / "net.pt")

    def test_a_saved_program(self, tmp_path):
        program = torch.export.export(nn.Linear(3, 4), (torch.ones(2, 3),))
        torch.export.save(program, tmp_path / "net.pt2")
        (tmp_path / "net.pt2").rename(tmp_path / "net.pt")
        with pytest.raises(ModelError, match=r"a program that torch\.export\.save wrote"):
            from_torch(tmp_path / "net.pt")
