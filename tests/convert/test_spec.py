from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import cello
from cello.convert import build_net, net_from_spec, net_to_spec
from cello.errors import ArgumentError, DtypeError, ModelError
from tests.convert.nets import OWN, Leaky, all_nets

ELMAN = {"type": "ElmanCell", "input_size": 2, "hidden_size": 3}


# ------------------------------------------------------------ there and back


@pytest.mark.parametrize("name", all_nets())
def test_a_net_comes_back_from_its_spec(name: str):
    net = all_nets()[name]
    spec = net_to_spec(net)
    assert json.loads(json.dumps(spec)) == spec
    assert "null" not in json.dumps(spec)  # TOML has no such value
    again = net_from_spec(spec, OWN)
    assert repr(again) == repr(net)
    assert net_to_spec(again) == spec
    shapes = {key: value.shape for key, value in net.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes


def test_the_spec_of_a_small_net_reads_well():
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3)), nn.Linear(3, 1))
    cell = {**ELMAN, "activation": "tanh", "bias": True}
    options = {"reverse": False, "batch_first": False, "initial_state": "zeros"}
    assert net_to_spec(net) == {
        "type": "Stack",
        "modules": [
            {"type": "Recurrent", "cell": cell, **options},
            {"type": "Linear", "in_features": 3, "out_features": 1, "bias": True},
        ],
        "batch_first": False,
    }


def test_functions_that_have_a_name_are_saved_by_it():
    assert net_to_spec(cello.ElmanCell(2, 3, torch.tanh))["activation"] == "tanh"
    assert net_to_spec(cello.ElmanCell(2, 3, cello.cells.ACTIVATIONS["identity"]))[
        "activation"
    ] == ("identity")


def test_an_lstm_with_projection_comes_back():
    assert net_from_spec(net_to_spec(cello.LSTM(3, 4, proj_size=2))).weight_hr_l0.shape == (2, 4)


def test_the_dtype_can_be_chosen():
    net = net_from_spec(ELMAN, dtype=torch.float64)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float64}


def test_a_files_class_of_ours_may_be_among_the_callers():
    assert isinstance(net_from_spec(ELMAN, [cello.ElmanCell]), cello.ElmanCell)


# ------------------------------------------------------------ what cannot be saved


def test_a_bare_function_cannot_be_saved():
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3, lambda x: x * x)))
    with pytest.raises(
        ModelError,
        match=r"^net\[0\]\.cell\.activation is the function <lambda>, which cannot be saved: only "
        r"activations with a name can, sigmoid, tanh, .*; or write a cell of your own",
    ):
        net_to_spec(net)


def test_an_argument_must_be_plain():
    cell = Leaky(2, 3, nn.Tanh(), rate=torch.tensor(0.5))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^net\.rate is of type Tensor, which cannot be saved"):
        net_to_spec(cell)


def test_a_module_must_say_what_makes_it():
    with pytest.raises(
        ModelError,
        match=r"^net\[1\] is a Bilinear, which cannot be saved: give it a method config\(\)",
    ):
        net_to_spec(nn.Sequential(nn.Tanh(), nn.Bilinear(2, 2, 2)))


def test_a_cell_that_does_not_keep_its_arguments_cannot_be_saved():
    class Forgetful(cello.Cell):
        state = ("h",)

        def __init__(self, input_size: int, hidden_size: int, power: int):
            super().__init__(input_size, hidden_size)

        def step(self, x, h):
            return h, (h,)

    with pytest.raises(
        ModelError, match=r"^net \(Forgetful\) cannot be saved: Forgetful does not keep .*'power'"
    ):
        net_to_spec(Forgetful(2, 3, power=2))


def test_names_of_ours_are_ours():
    class ElmanCell(cello.ElmanCell):
        pass

    with pytest.raises(
        ModelError,
        match=r"^net is a ElmanCell that is not Cello's: rename .* name only$",
    ):
        net_to_spec(ElmanCell(2, 3))
    with pytest.raises(ModelError, match=r"of PyTorch's layers use cello\.LSTM$"):
        net_to_spec(nn.LSTM(2, 3))
    with pytest.raises(ArgumentError, match=r"^cells must not hold a class named ElmanCell"):
        net_from_spec(ELMAN, [ElmanCell])


def test_words_of_the_file_are_no_arguments():
    class Odd(nn.Module):
        def config(self):
            return {"type": 3}

    with pytest.raises(ModelError, match=r"^net \(Odd\) has an argument 'type', which is a word"):
        net_to_spec(Odd())


# ------------------------------------------------------------ what cannot be built


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, r"^net must be a table with a type, got int 3$"),
        ({}, r'^net needs a type, such as type = "Recurrent"$'),
        (
            {"type": "ElmansCell"},
            r"^net is a ElmansCell, which is no module of Cello \(did you mean ElmanCell\?\); "
            r"a class of your own is passed as cells=\[ElmansCell\]$",
        ),
        ({"type": "os.system"}, r"^net is a os\.system, which is no module of Cello; "),
        (
            {**ELMAN, "activaton": "tanh"},
            r"^net \(ElmanCell\) has no argument 'activaton' \(did you mean activation\?\); "
            r"it takes input_size, hidden_size, activation, bias$",
        ),
        ({"type": "Linear", "in_features": 2, "out_features": 1, "device": "x"}, "no argument"),
        (
            {"type": "ElmanCell", "input_size": 2},
            r"^net \(ElmanCell\) lacks the argument 'hidden_size'$",
        ),
        (
            {"type": "ElmanCell"},
            r"^net \(ElmanCell\) lacks the arguments 'input_size', 'hidden_size'$",
        ),
        (
            {"type": "Recurrent", "cell": {**ELMAN, "hidden_size": 0}},
            r"^net\.cell \(ElmanCell\): hidden_size must be a whole number from 1 to .*, got 0$",
        ),
        (
            {"type": "Stack", "modules": [{"type": "Tanh"}, {"type": "Recurrent", "cell": "tanh"}]},
            r"^net\[1\] \(Recurrent\): cell must be a cello\.Cell or a module",
        ),
        ({"type": "Stack", "modules": [ELMAN]}, r"^net \(Stack\): module 0 is a ElmanCell, one st"),
        (
            {"type": "Stack", "modules": [{"type": "Tanh"}, "Tanh"]},
            r"^net\[1\] must be a table with a type, got str 'Tanh'$",
        ),
        ({"type": "Stack", "modules": "x"}, r"^net: modules must be a list of tables, got 'x'$"),
        (
            {"type": "Dropout", "p": 3.0},
            r"^net \(Dropout\): p must be a finite number from 0 to 1, got 3\.0$",
        ),
    ],
)
def test_what_is_wrong_in_a_spec_is_said(spec: object, message: str):
    with pytest.raises(ModelError, match=message):
        net_from_spec(spec)  # type: ignore[arg-type]


def test_cells_are_classes_of_modules():
    with pytest.raises(DtypeError, match=r"^cells must hold classes of modules, got Leaky$"):
        net_from_spec(ELMAN, [Leaky(2, 3, nn.Tanh())])  # type: ignore[list-item]
    with pytest.raises(DtypeError, match=r"^cells must hold classes of modules, got int$"):
        net_from_spec(ELMAN, [int])  # type: ignore[list-item]


# ------------------------------------------------------------ weights in a spec


def test_weights_are_put_in():
    W, R = [[1, 2], [3, 4], [5, 6]], [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]
    spec = {**ELMAN, "weights": {"W": W, "R": R}}
    built = build_net(spec, dtype=torch.float64)
    assert built.net.W.tolist() == W
    assert built.net.R.tolist() == R  # 0.1 in float64: it never was a float32
    assert built.drawn == ("b",)


def test_weights_can_be_given_by_gate():
    gates = {"f": [[5, 6]], "i": [[1, 2]], "o": [[7, 8]], "g": [[3, 4]]}
    b = {"i": [1], "f": [2], "g": [3], "o": [4]}
    cell = {"type": "LSTMCell", "input_size": 2, "hidden_size": 1, "recurrent": False}
    net = net_from_spec({**cell, "weights": {"W": gates, "b": b}})
    assert net.W.tolist() == [[1, 2], [5, 6], [3, 4], [7, 8]]
    assert net.b.tolist() == [1, 2, 3, 4]


def test_weights_of_a_module_inside_are_reached_by_a_dot():
    layer = {"type": "Recurrent", "cell": ELMAN, "initial_state": "learned"}
    net = net_from_spec({**layer, "weights": {"initial.h": [1, 2, 3], "cell.b": [4, 5, 6]}})
    assert net.initial["h"].tolist() == [1, 2, 3]
    assert net.cell.b.tolist() == [4, 5, 6]


LSTM = {"type": "LSTMCell", "input_size": 2, "hidden_size": 1, "peephole": True}


@pytest.mark.parametrize(
    ("spec", "weights", "message"),
    [
        (ELMAN, 3, r"^net \(ElmanCell\): weights must be a table of parameters by name$"),
        (ELMAN, {"U": [1]}, r"^net \(ElmanCell\) has no parameter 'U'; it has W, R, b$"),
        ({"type": "Tanh"}, {"U": [1]}, r"has no parameter 'U'; it has none$"),
        (
            ELMAN,
            {"W": [[1, 2], [3, 4]]},
            r"^net \(ElmanCell\): weight W must be \[3, 2\], got \[2, 2\]$",
        ),
        (
            ELMAN,
            {"W": [[1, 2], [3], [4, 5]]},
            r"^net \(ElmanCell\): weight W must be numbers in nested lists \[3, 2\]: ",
        ),
        (ELMAN, {"W": "ones"}, r"weight W must be numbers in nested lists \[3, 2\]: "),
        (ELMAN, {"W": {"i": [1]}}, r"weight W must be a list of numbers, not a table by gate$"),
        (LSTM, {"p_i": {"i": [1]}}, r"weight p_i must be a list of numbers, not a table by gate$"),
        (
            LSTM,
            {"b": {"i": [1], "f": [1]}},
            r"^net \(LSTMCell\): weight b must have the gates i, f, g, o, got i, f$",
        ),
        (
            LSTM,
            {"b": {"i": [1], "f": [1, 2], "g": [1], "o": [1]}},
            r"^net \(LSTMCell\): weight b\.f must be \[1\], got \[2\]$",
        ),
    ],
)
def test_what_is_wrong_in_weights_is_said(spec: dict, weights: object, message: str):
    with pytest.raises(ModelError, match=message):
        net_from_spec({**spec, "weights": weights})
