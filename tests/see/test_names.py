from __future__ import annotations

import pytest
from torch import nn

import cello
from cello.errors import ArgumentError, DtypeError, UnknownNameError
from cello.layers.paths import cells_of, check_net, layer_paths
from cello.see.names import find, matches

NAMES = ["0.forward.f", "0.forward.z_f", "0.backward.f", "0.backward.c", "2.y"]


def test_layers_are_called_by_their_path():
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.forward_layer = cello.Recurrent(cello.GRUCell(3, 4))
            self.deep = nn.ModuleList([cello.Bidirectional(cello.ElmanCell(4, 2)), nn.ReLU()])
            self.lstm = cello.LSTM(4, 2, num_layers=2, bidirectional=True)

    net = Tagger()
    assert list(layer_paths(net).values()) == [
        "forward_layer",  # the user's own name: only those of Bidirectional are shortened
        "deep.0.forward",
        "deep.0.backward",
        "lstm",
    ]
    assert list(cells_of(net)) == [
        "forward_layer",
        "deep.0.forward",
        "deep.0.backward",
        "lstm.0.forward",
        "lstm.0.backward",
        "lstm.1.forward",
        "lstm.1.backward",
    ]
    assert cells_of(net)["forward_layer"] is net.forward_layer.cell


def test_of_no_names_none_is_found():
    with pytest.raises(UnknownNameError, match=r"^nothing is named 'h'; there are no values$"):
        find("h", [])


def test_the_end_of_a_name_is_enough_where_it_is_alone():
    assert find("2.y", NAMES) == "2.y"
    assert find("y", NAMES) == "2.y"
    assert find("c", NAMES) == "0.backward.c"
    assert find("backward.f", NAMES) == "0.backward.f"


def test_an_exact_name_wins_over_an_ending():
    assert find("f", ["f", "inner.f"]) == "f"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f", r"^'f' could be '0.forward.f', '0.backward.f': give more of the name$"),
        ("0.forwards.f", r"^nothing is named '0.forwards.f'; near it are '0.forward.f'"),
        ("z_ff", r"^nothing is named 'z_ff'; near it are '0.forward.z_f'"),
        ("1.y", r"^nothing is named '1.y'; near it are '2.y'$"),
        ("memory", r"^nothing is named 'memory'; there are '0.forward.f', .*, '2.y'$"),
    ],
)
def test_a_wrong_name_is_answered_with_those_near_it(name: str, message: str):
    with pytest.raises(UnknownNameError, match=message) as caught:
        find(name, NAMES)
    assert isinstance(caught.value, KeyError)


def test_a_name_is_a_string():
    with pytest.raises(DtypeError, match=r"^a name must be a string, got 3$"):
        find(3, NAMES)  # type: ignore[arg-type]


def test_many_names_are_not_all_listed():
    with pytest.raises(UnknownNameError, match=r"'11.unit' and 28 more$"):
        find("nothing like it", [f"{number}.unit" for number in range(40)])


def test_patterns_fit_endings():
    fits = {p: [n for n in NAMES if matches(n, p)] for p in ("f", "*.c", "0.forward.*", "z_*")}
    assert fits == {
        "f": ["0.forward.f", "0.backward.f"],
        "*.c": ["0.backward.c"],
        "0.forward.*": ["0.forward.f", "0.forward.z_f"],
        "z_*": ["0.forward.z_f"],
    }


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (3, DtypeError, r"^net must be a module, got int$"),
        (cello.LSTM, DtypeError, r"^net must be a module, got the class LSTM itself$"),
        (nn.Linear(2, 2), ArgumentError, r"^Linear holds no recurrent layer of ours"),
        (
            nn.Sequential(nn.LSTM(2, 2)),
            ArgumentError,
            r"^Sequential holds no layer of ours, its 0 is PyTorch's nn.LSTM, .*"
            r"use cello.accelerate\(net\)",
        ),
        (nn.GRU(2, 2), ArgumentError, r"^GRU holds no layer of ours, it is PyTorch's nn.GRU"),
        (
            cello.GRUCell(2, 2),
            ArgumentError,
            r"^GRUCell holds no layer, it is a cell, .*: wrap it as cello.Recurrent\(cell\)$",
        ),
        (
            nn.ModuleDict({"step": nn.LSTMCell(2, 2)}),
            ArgumentError,
            r"^ModuleDict holds no layer, its step is a cell",
        ),
    ],
)
def test_a_net_without_layers_is_refused(net: object, error: type, message: str):
    with pytest.raises(error, match=message):
        check_net(net)
