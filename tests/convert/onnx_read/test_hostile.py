"""Files that are damaged, lie or attack: a typed error, in bounded memory, and nothing outside."""

import random
import sys
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import cello
from cello.convert.graph.wires import Wiring
from cello.convert.onnx_read import limits
from cello.errors import ConversionError, ModelError
from tests.convert.onnx_read.files import INT64, constants, info, recurrent_file, written


def _refused(file, match):
    with pytest.raises(ModelError, match=match):
        cello.from_onnx(file)


def _graph(tmp_path, *nodes, weights=None, shape=("T", 3), kind=TensorProto.FLOAT):
    inputs, outputs = [info("x", shape, kind)], [info("y", None)]
    return written(tmp_path / "net.onnx", list(nodes), inputs, outputs, weights)


def _node(op, inputs="x", outputs="y", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def test_a_file_that_is_cut_off_or_none(tmp_path):
    whole = recurrent_file(tmp_path / "net.onnx", "LSTM").read_bytes()
    file = tmp_path / "cut.onnx"
    for size in range(0, len(whole), 97):
        file.write_bytes(whole[:size])
        with pytest.raises(ModelError):
            cello.from_onnx(file)
    _refused(tmp_path / "none.onnx", "does not exist")
    _refused(tmp_path, "cannot be read")
    file.write_bytes(b"\x08\x08")
    _refused(file, "it holds no graph")


def test_nodes_in_a_circle_out_of_order_and_names_twice(tmp_path):
    circle = [_node("Tanh", "z", "y"), _node("Tanh", "y", "z")]
    _refused(_graph(tmp_path, *circle), "'Tanh'|reads 'z', which nothing before it makes")
    twice = [_node("Tanh", "x", "y"), _node("Relu", "x", "y")]
    _refused(_graph(tmp_path, *twice), "'y' is made twice")
    _refused(_graph(tmp_path, _node("Tanh", "x", "w")), "reads 'y'")


def test_operators_that_are_not_known(tmp_path):
    _refused(_graph(tmp_path, _node("Loop")), r"\(Loop\) cannot be read")
    _refused(_graph(tmp_path, _node("item")), "'item' is not known")
    other = helper.make_node("FusedGelu", ["x"], ["y"], domain="com.somebody")
    _refused(_graph(tmp_path, other), "'FusedGelu' of 'com.somebody' is not known")


def test_modules_of_one_name_are_counted_once():
    """The calls that naming them takes grow with their number, not with its square."""

    def calls(count):
        wiring, seen = Wiring(), 0
        wiring.new_input()

        def count_one(_frame, event, _argument):
            nonlocal seen
            seen += event == "call"

        sys.setprofile(count_one)
        try:
            for place in range(count):
                wiring.module(nn.Tanh(), [place], "tanh")
        finally:
            sys.setprofile(None)
        assert wiring.names[:3] == ["tanh", "tanh/1", "tanh/2"]
        assert len(set(wiring.names)) == count
        return seen

    assert calls(400) < 2.2 * calls(200)


def test_gigantic_declared_shapes(tmp_path):
    _refused(_graph(tmp_path, _node("Tanh"), shape=[10**9, 10**9]), "too large to try")
    huge = constants(shape=np.array([10**6, 10**6]), one=np.float32(1))
    for node in (
        _node("Expand", "x shape"),
        _node("Expand", "one shape"),
        _node("ConstantOfShape", "shape"),
        _node("Tile", "x shape"),
    ):
        _refused(_graph(tmp_path, node, weights=huge), "makes a tensor of more than")
    ends = constants(a=np.int64(0), b=np.int64(10**12), c=np.int64(1))
    _refused(_graph(tmp_path, _node("Range", "a b c"), weights=ends), "makes a tensor of more than")
    wide = constants(a=np.ones((9000, 1), np.float32), b=np.ones((1, 9000), np.float32))
    grown = [_node("Add", "x a", "p"), _node("Add", "p b", "y")]
    _refused(_graph(tmp_path, *grown, weights=wide, shape=["T", 1, 1]), "makes a tensor of more")


def test_what_doubles_or_widens_at_each_node(tmp_path, monkeypatch):
    """Each node by itself makes little more than it reads."""

    def chain(op, start, count, **attributes):
        names = [start, *(f"d{n}" for n in range(count - 1)), "end"]
        return [_node(op, f"{a} {a}", b, **attributes) for a, b in pairwise(names)]

    one = constants(one=np.ones(1, np.float32))
    match = r"\(Concat\) cannot be read: it makes a tensor of more than 67,108,864 numbers"
    known = [*chain("Concat", "one", 40, axis=0), _node("ReduceSum", "end", "s")]
    _refused(_graph(tmp_path, *known, _node("Add", "x s"), weights=one), match)
    _refused(_graph(tmp_path, *chain("Concat", "x", 40, axis=0), _node("Tanh", "end")), match)
    wide = [_node("Reshape", "x flat", "p"), _node("MatMul", "p w", "q"), _node("Relu", "q", "r"),
            _node("Reshape", "r flat", "s"), _node("MatMul", "s w", "t"), _node("Relu", "t", "u"),
            _node("Reshape", "u flat", "v"), _node("MatMul", "v w", "y")]  # fmt: skip
    weights = constants(w=np.ones((3, 3000), np.float32), flat=np.array([-1, 3]))
    _refused(_graph(tmp_path, *wide, weights=weights), "makes a tensor of more than")
    monkeypatch.setattr(limits, "MOST", 2**12)
    many = [_node("Tile", "x times", "z"), *chain("Add", "z", 40), _node("ReduceSum", "end", "y")]
    weights = constants(times=np.array([2**7, 1]))
    _refused(_graph(tmp_path, *many, weights=weights), "it and the nodes before it make")


def test_windows_over_huge_pads(tmp_path):
    weights = constants(w=np.ones((2, 3, 1), np.float32))
    pads = [2**40, 2**40]
    for node in (
        _node("Conv", "x w", pads=pads),
        _node("MaxPool", "x", kernel_shape=[2], pads=pads),
        _node("AveragePool", "x", kernel_shape=[2], pads=pads),
    ):
        file = _graph(tmp_path, node, weights=weights, shape=("B", 3, "T"))
        _refused(file, "makes a tensor of more than")


def test_the_proof_computes_no_more_than_the_reading(tmp_path, monkeypatch):
    """A fifth power: of the 7 steps that it is read with it is small enough, of 9 it is not."""
    monkeypatch.setattr(limits, "MOST", 2**15)
    powers = [_node("MatMul", "x w", "v0")]
    for n in range(4):
        powers += [_node("Unsqueeze", f"v{n} last", f"u{n}"), _node("Mul", f"u{n} v0", f"v{n + 1}")]
    powers.append(_node("ReduceMax", "v4", "y"))
    weights = constants(w=np.ones((3, 1), np.float32), last=np.array([-1]))
    _refused(
        _graph(tmp_path, *powers, weights=weights), "onnx: it makes a tensor of more than 32,768"
    )


def test_products_of_matrices_are_measured_exactly(tmp_path):
    """512 x 512 times 512 x 512 is 512 x 512, and is computed once."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((512, 512)).astype(np.float32) / 20 for _ in range(2))
    nodes = [_node("MatMul", "a b", "c"), _node("MatMul", "x c", "y")]
    net = cello.from_onnx(_graph(tmp_path, *nodes, weights=constants(a=a, b=b), shape=("T", 512)))
    torch.testing.assert_close(net(torch.eye(512)), torch.from_numpy(a @ b))


def test_a_tensor_that_has_not_as_many_numbers_as_it_says(tmp_path):
    for dims, data in (([10**9, 10**9], b""), ([3], b"1234"), ([-1], b"1234")):
        lie = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=data)
        _refused(_graph(tmp_path, _node("Add", "x w"), weights=[lie]), "the tensor 'w'")
    text = TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])
    _refused(_graph(tmp_path, _node("Add", "x w"), weights=[text]), "kind string are not known")


def _external(tmp_path, location, **told):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **told}.items():
        tensor.external_data.add(key=key, value=str(value))
    return _graph(tmp_path, _node("Add", "x w"), weights=[tensor])


def test_numbers_in_another_file(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    numbers = np.arange(3, dtype=np.float32).tobytes()
    (folder / "w.bin").write_bytes(b"1234" + numbers)
    net = cello.from_onnx(_external(folder, "w.bin", offset=4, length=12))
    assert torch.equal(net(torch.zeros(2, 3)), torch.arange(3.0).expand(2, 3))
    (tmp_path / "secret").write_bytes(numbers)
    (folder / "link").symlink_to(tmp_path / "secret")
    for location in ("../secret", str(tmp_path / "secret"), "link", "none", ""):
        _refused(_external(folder, location, length=12), "which is no file in the folder")
    for told in ({"offset": -4, "length": 12}, {"length": 10**12}, {"offset": "x"}, {"length": 4}):
        with pytest.raises(ModelError, match="the tensor 'w'"):
            cello.from_onnx(_external(folder, "w.bin", **told))


def test_huge_repeated_fields(tmp_path):
    many = [_node("Tanh", "x", f"y{n}") for n in range(60_000)]
    _refused(_graph(tmp_path, *many), "more than 50,000 nodes")
    deep = _node("Tanh")
    for _ in range(25):
        body = helper.make_graph([deep], "body", [], [info("y", None)])
        deep = _node("If", then_branch=body, else_branch=body)
        if len(body.SerializeToString()) > 2**20:
            break
    _refused(_graph(tmp_path, deep), "graphs 20 deep|cannot be read")
    wide = helper.make_node("Concat", ["x"] * 20_000, ["y"], axis=0)
    _refused(_graph(tmp_path, wide), "more than 10,000 inputs")


def test_numbers_of_the_wrong_kind(tmp_path):
    words = _graph(tmp_path, _node("MatMul", "x w"), kind=INT64,
                   weights=constants(w=np.ones((3, 2), np.float32)))  # fmt: skip
    _refused(words, "numbers of two kinds")
    _refused(_graph(tmp_path, _node("Tanh"), kind=TensorProto.STRING), "kind string")
    _refused(_graph(tmp_path, _node("Tanh"), shape=None), "has no shape")


def test_a_condition_that_depends_on_an_input(tmp_path):
    body = helper.make_graph([_node("Tanh")], "body", [], [info("y", None)])
    nodes = [_node("Cast", "x", "b", to=TensorProto.BOOL),
             _node("If", "b", then_branch=body, else_branch=body)]  # fmt: skip
    _refused(_graph(tmp_path, *nodes), "its condition depends on an input")


# ------------------------------------------------------------ mutated files


def _files(folder):
    yield recurrent_file(folder / "lstm.onnx", "LSTM", peephole=True, lengths=True, states=True)
    yield recurrent_file(folder / "gru.onnx", "GRU", direction="bidirectional", opset=13)
    cello.to_onnx(cello.Recurrent(cello.JordanCell(3, 4, 2)), folder / "scan.onnx")
    yield folder / "scan.onnx"


def _opens(file):
    """Whether it opens; else the error is one of ours, and says why."""
    try:
        cello.from_onnx(file)
    except (ModelError, ConversionError) as error:
        return not str(error)
    return True


@pytest.mark.filterwarnings("ignore")
def test_bytes_that_are_flipped(tmp_path):
    dice, opened = random.Random(0), []
    for source in list(_files(tmp_path)):
        whole = source.read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(dice.choice([1, 1, 2, 8])):
                data[dice.randrange(len(data))] = dice.randrange(256)
            (tmp_path / "bad.onnx").write_bytes(data)
            opened.append(_opens(tmp_path / "bad.onnx"))
    assert 20 < sum(opened) < len(opened) - 20  # weights may change, what holds them may not


@pytest.mark.filterwarnings("ignore")
def test_fields_that_are_dropped_or_changed(tmp_path):
    dice, opened = random.Random(1), []
    for source in list(_files(tmp_path)):
        whole = onnx.load(source)
        for _ in range(60):
            model = onnx.ModelProto()
            model.CopyFrom(whole)
            message = model
            while True:
                fields = message.ListFields()
                field, value = dice.choice(fields) if fields else (None, None)
                if field is None:
                    break
                repeated = hasattr(value, "append")
                part = dice.choice(list(value)) if repeated and len(value) else value
                if hasattr(part, "ListFields") and dice.random() < 0.85:
                    message = part
                    continue
                if isinstance(value, int) and dice.random() < 0.7:
                    number = dice.choice([0, 1, 2, -1, 9, 2**31 - 1])
                    try:
                        setattr(message, field.name, number)
                    except ValueError:
                        message.ClearField(field.name)
                elif repeated and len(value) and dice.random() < 0.7:
                    del value[dice.randrange(len(value))]
                else:
                    message.ClearField(field.name)
                break
            (tmp_path / "bad.onnx").write_bytes(model.SerializePartialToString())
            opened.append(_opens(tmp_path / "bad.onnx"))
    assert 20 < sum(opened) < len(opened) - 20
