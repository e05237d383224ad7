"""RNN, LSTM and GRU: every attribute and input, and the cases of the onnx package."""

import functools
import warnings

import numpy as np
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import nn

import cello
from cello.convert.onnx_read.onnx_cells import InputForgetLSTMCell, ScaledActivation
from cello.errors import ModelError
from tests.convert.onnx_read.files import called, recurrent_file, run

TORCH_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # of ONNX's gates


@functools.cache
def _cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    kinds = ("RNN", "LSTM", "GRU", "Scan")
    return {
        case.name: case
        for case in cases
        if any(node.op_type in kinds for node in case.model.graph.node)
    }


def _read(case, folder):
    """The net, what it is given, and what should come out; weights are not given but known."""
    model = ModelProto()
    model.CopyFrom(case.model)
    ((inputs, outputs),) = case.data_sets
    given = dict(zip((part.name for part in model.graph.input), inputs, strict=True))
    for name in "WRBP":
        if name in given:
            weight = numpy_helper.from_array(np.asarray(given.pop(name)), name)
            model.graph.initializer.append(weight)
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    net = cello.from_onnx(file)
    return net, [torch.tensor(np.asarray(part)) for part in given.values()], outputs


RECURRENT = [
    "test_gru_batchwise", "test_gru_bidirectional", "test_gru_defaults", "test_gru_reverse",
    "test_gru_seq_length", "test_gru_with_initial_bias", "test_lstm_batchwise",
    "test_lstm_bidirectional", "test_lstm_defaults", "test_lstm_reverse",
    "test_lstm_with_initial_bias", "test_lstm_with_peepholes", "test_rnn_seq_length",
    "test_simple_rnn_batchwise", "test_simple_rnn_bidirectional", "test_simple_rnn_defaults",
    "test_simple_rnn_reverse", "test_simple_rnn_with_initial_bias",
]  # fmt: skip
SCANS = ["test_scan9_multi_state", "test_scan9_scalar", "test_scan9_sum", "test_scan_sum"]
ATTENTION = "test_linear_attention_"


def test_the_cases_of_the_onnx_package_are_all_here():
    assert {n for n in _cases() if not n.startswith(ATTENTION)} == {*RECURRENT, *SCANS}


@pytest.mark.filterwarnings("ignore:ONNX Runtime has no layout=1")
@pytest.mark.parametrize("name", [*RECURRENT, *SCANS])
def test_the_cases_of_the_onnx_package(name, tmp_path):
    net, given, outputs = _read(_cases()[name], tmp_path)
    made = called(net, *given)
    assert len(made) == len(outputs)
    for y, expected in zip(made, outputs, strict=True):
        torch.testing.assert_close(y, torch.tensor(np.asarray(expected)), atol=1e-6, rtol=1e-6)
    assert cello.proof_of(net).largest < 1e-5
    layers = [part for part in net.parts.values() if not isinstance(part, nn.Identity)]
    assert len(layers) == 1
    assert isinstance(layers[0], (cello.Recurrent, cello.Bidirectional))


def test_attention_that_is_written_as_a_scan(tmp_path):
    names = [n for n in _cases() if n.startswith(ATTENTION) and "fp16" not in n]
    assert len(names) > 10
    for name in names:
        net, given, outputs = _read(_cases()[name], tmp_path)
        for y, expected in zip(called(net, *given), outputs, strict=True):
            torch.testing.assert_close(y, torch.tensor(np.asarray(expected)), atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------ attributes, each with the others


@pytest.mark.parametrize(
    ("direction", "clip", "inputs"),
    [
        ("forward", 0.0, "all"),
        ("reverse", 0.3, "none"),
        ("bidirectional", 0.3, "all"),
        ("bidirectional", 0.0, "no bias"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("RNN", {}),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
        ("RNN", {"activations": ["ScaledTanh"], "activation_alpha": [0.5],
                 "activation_beta": [0.7]}),
        ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.2]}),
        ("RNN", {"activations": ["LeakyRelu"]}),
        ("RNN", {"activations": ["HardSigmoid"]}),
        ("GRU", {}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"activations": ["HardSigmoid", "LeakyRelu"], "activation_alpha": [0.3, 0.1],
                 "activation_beta": [0.4]}),
        ("LSTM", {}),
        ("LSTM", {"peephole": True}),
        ("LSTM", {"input_forget": 1}),
        ("LSTM", {"input_forget": 1, "peephole": True}),
        ("LSTM", {"activations": ["HardSigmoid", "Relu", "Elu"], "activation_alpha": [0.3],
                  "activation_beta": [0.4]}),
    ],
)  # fmt: skip
def test_attributes_and_inputs(kind, attributes, direction, clip, inputs, tmp_path):
    ways = 2 if direction == "bidirectional" else 1
    told = {n: v * ways if isinstance(v, list) else v for n, v in attributes.items()}
    told |= {"clip": clip} if clip else {}
    told |= {"lengths": True, "states": True} if inputs == "all" else {}
    told |= {"bias": False, "outputs": "Y_h"} if inputs == "no bias" else {}
    file = recurrent_file(tmp_path / "net.onnx", kind, direction=direction, **told)
    net = cello.from_onnx(file)
    torch.manual_seed(1)
    given = [torch.randn(8, 5, 3)]
    if inputs == "all":
        given.append(torch.tensor([8, 1, 5, 2, 7], dtype=torch.int32))
        given += [torch.randn(ways, 5, 4) for _ in range(2 if kind == "LSTM" else 1)]
    for y, expected in zip(called(net, *given), run(file, *given), strict=True):
        torch.testing.assert_close(y, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("inputs", [True, False])
def test_layout_1_equals_layout_0_turned_around(kind, direction, inputs, tmp_path):
    """ONNX Runtime refuses `layout=1`; the same weights with time first are what it must equal."""
    ways, states = 2 if direction == "bidirectional" else 1, 2 if kind == "LSTM" else 1
    told = {"direction": direction, "lengths": inputs, "states": inputs}
    first = recurrent_file(tmp_path / "first.onnx", kind, layout=1, **told)
    plain = recurrent_file(tmp_path / "plain.onnx", kind, **told)
    with pytest.warns(UserWarning, match="no layout=1") as said:
        net = cello.from_onnx(first)
    assert said[0].filename == __file__
    x = torch.randn(3, 7, 3)
    more = [torch.tensor([7, 2, 4], dtype=torch.int32)] if inputs else []
    start = [torch.randn(3, ways, 4) for _ in range(states)] if inputs else []
    y, *finals = called(net, x, *more, *start)
    turned = [part.transpose(0, 1) for part in start]
    expected, *ends = run(plain, x.transpose(0, 1), *more, *(p.contiguous() for p in turned))
    torch.testing.assert_close(y, expected.permute(2, 0, 1, 3), atol=1e-6, rtol=1e-5)
    for final, end in zip(finals, ends, strict=True):
        torch.testing.assert_close(final, end.transpose(0, 1), atol=1e-6, rtol=1e-5)
    assert all(layer.batch_first for layer in net.parts.values())


@pytest.mark.parametrize("opset", [7, 11, 13, 14, 22])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_operator_sets(kind, opset, tmp_path):
    net = cello.from_onnx(recurrent_file(tmp_path / "net.onnx", kind, opset=opset))
    assert cello.proof_of(net).largest < 1e-5


def test_gates_stand_in_our_order(tmp_path):
    """i o f c becomes i f g o; z r h becomes r z n; two biases become one, but for the GRU's."""
    for kind, order in TORCH_ORDER.items():
        more = {"linear_before_reset": 1} if kind == "GRU" else {}
        file = recurrent_file(tmp_path / "net.onnx", kind, **more)
        (layer,) = cello.from_onnx(file).parts.values()
        rng = np.random.default_rng(0)
        rows = 4 * len(order)
        W, R, B = (
            torch.tensor(rng.uniform(-0.8, 0.8, shape).astype(np.float32))
            for shape in ((1, rows, 3), (1, rows, 4), (1, 2 * rows))
        )
        wanted = torch.cat([W[0].chunk(len(order))[place] for place in order])
        assert torch.equal(layer.cell.W, wanted), kind
        assert torch.equal(layer.cell.R, torch.cat([R[0].chunk(len(order))[p] for p in order]))
        if kind != "GRU":
            both = B[0].reshape(2, len(order), 4).sum(0)
            assert torch.equal(layer.cell.b, torch.cat([both[place] for place in order]))


def test_cells_are_plain_where_they_can_be(tmp_path):
    def cell(kind, **told):
        return next(
            iter(cello.from_onnx(recurrent_file(tmp_path / "n", kind, **told)).parts.values())
        ).cell

    assert repr(cell("LSTM", peephole=True)) == "LSTMCell(3, 4, peephole=True)"
    assert repr(cell("GRU")) == "GRUCell(3, 4, reset_after=False)"
    assert repr(cell("GRU", linear_before_reset=1)) == "GRUCell(3, 4, recurrent_bias=True)"
    assert repr(cell("RNN", activations=["Relu"])) == "ElmanCell(3, 4, activation='relu')"
    assert type(cell("LSTM", input_forget=1)) is InputForgetLSTMCell
    assert isinstance(cell("RNN", clip=1.0).activation, ScaledActivation)


def test_what_is_refused(tmp_path):
    def refused(match, kind="LSTM", **told):
        with pytest.raises(ModelError, match=match):
            cello.from_onnx(recurrent_file(tmp_path / "net.onnx", kind, **told))

    refused("the activation 'Swish' is none of", activations=["Swish", "Tanh", "Tanh"])
    refused("activations must be 3 names, got", activations=["Tanh"])
    refused("direction='sideways' is not known", direction="sideways")
    refused("operator set 6; 7 to", opset=6)


def test_activations_of_all_kinds_fuse_and_know_their_names():
    with pytest.raises(cello.errors.ArgumentError, match="name must be one of Affine, Elu"):
        ScaledActivation("Swish")
    layer = cello.Recurrent(
        cello.ElmanCell(3, 4, ScaledActivation("ScaledTanh", 0.5, 0.7, clip=1.0)), engine="cpu"
    )
    x = torch.randn(5, 2, 3)
    y, _ = layer(x)
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(x)[0])
