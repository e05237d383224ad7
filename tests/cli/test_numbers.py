"""Files of other libraries' in place of a model, and numbers in place of a text."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import cello
from cello.cli.commands.explore import _given, _reader
from cello.cli.models import open_model
from cello.cli.output import busy
from cello.convert import NetGraph, Proof
from cello.see.page.live.session import LiveSession
from tests.cli.running import run, run_json
from tests.convert.keras.models import MODELS, make
from tests.effort import one_in

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]

FORMATS = ("keras", "h5", "safetensors", "pt", "json", "model", "config", "weights")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same kind of net in each format; each reads rows of 3 numbers."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4)
    for ending in ("keras", "h5"):
        make("lstm").save(folder / f"net.{ending}")
    save_file(lstm.state_dict(), folder / "net.safetensors")
    torch.save(lstm.state_dict(), folder / "net.pt")
    cello.to_rtneural(cello.from_torch(lstm), folder / "net.json")
    cello.save_model(cello.from_torch(lstm), folder / "model")
    own = {"config": folder / "model/config.json", "weights": folder / "model/weights.safetensors"}
    return {name: own.get(name, folder / f"net.{name}") for name in FORMATS} | {
        "model": folder / "model"
    }


@pytest.fixture
def rows(tmp_path: Path) -> tuple[np.ndarray[Any, Any], Path]:
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    file = tmp_path / "x.csv"
    file.write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in x) + "\n")
    return x, file


def _expected(file: Path, x: np.ndarray[Any, Any]) -> torch.Tensor:
    net = open_model(file).net
    axis = 0 if net.batch_first else 1
    with torch.no_grad():
        y: torch.Tensor = net(torch.from_numpy(x).unsqueeze(axis))[0].squeeze(axis)
    return y


@pytest.mark.parametrize("name", FORMATS)
class TestEachFormat:
    def test_is_shown_and_stays(self, name: str, files: dict[str, Path]):
        file = files[name]
        before = file.read_bytes() if file.is_file() else b""
        output = run("show", file).stdout
        assert "c = i ⊙ g + f ⊙ c_prev" in output
        assert "LSTM" in output
        assert run_json("show", file)["parameters"] > 100
        assert (file.read_bytes() if file.is_file() else b"") == before

    def test_predicts(self, name: str, files: dict[str, Path], rows: Any):
        x, file = rows
        expected = _expected(files[name], x)
        lines = run("predict", files[name], file).stdout.splitlines()
        found = torch.tensor([[float(word) for word in line.split(",")] for line in lines])
        assert torch.equal(found, expected)
        (again,) = run_json("predict", files[name], "-", stdin=file.read_text())
        assert torch.equal(torch.tensor(again), expected)

    def test_is_recorded(self, name: str, files: dict[str, Path], rows: Any, tmp_path: Path):
        x, file = rows
        output = run("record", files[name], file, "--only", "*c").stdout
        assert "12 steps of 1 sequence: " in output
        run("record", files[name], file, "-o", tmp_path / "run.safetensors")
        recording = cello.load_recording(tmp_path / "run.safetensors")
        y = recording.output.squeeze(0 if recording.output.shape[0] == 1 else 1)
        assert torch.equal(y, _expected(files[name], x))
        run("record", files[name], file, "-o", tmp_path / "run.html")
        assert (tmp_path / "run.html").stat().st_size > 10_000

    def test_is_diagnosed(self, name: str, files: dict[str, Path], rows: Any):
        assert run_json("diagnose", files[name], rows[1])["seen"] == "12 steps of 1 sequence"

    def test_is_explored(self, name: str, files: dict[str, Path], rows: Any):
        model = open_model(files[name])
        session = LiveSession(model.net, _reader(model), _given(model, str(rows[1])))
        (sequence,) = session.head["sequences"]
        assert len(sequence["tokens"]) == 12
        head = session.ask("read", {"text": _given(model, None)})
        assert len(head["sequences"][0]["tokens"]) == 24


SEVERAL_INPUTS = (
    "two inputs", "products", "attention", "encoder and decoder", "a model that is called twice",
    "operations", "masked otherwise", "not masked first", "not masked last", "weighted",
    "masked, with states",
)  # fmt: skip


@pytest.mark.parametrize("name", one_in(3, [n for n in MODELS if n not in SEVERAL_INPUTS]))
def test_each_model_of_keras_is_shown_recorded_and_predicts(name: str, tmp_path: Path):
    """Words, rows, last steps, several outputs: nothing but numbers is needed."""
    model = make(name)
    model.save(tmp_path / "net.keras")
    (like,) = model.inputs
    shape = [6, *like.shape[2:]]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.save(tmp_path / "x.npy", x if like.dtype != "int32" else np.arange(6) + 1)
    run("show", tmp_path / "net.keras")
    run("record", tmp_path / "net.keras", tmp_path / "x.npy", "-o", tmp_path / "run.safetensors")
    given = np.load(tmp_path / "x.npy")[None]
    expected = model(given, training=False)
    expected = expected[0] if isinstance(expected, (list, tuple)) else expected
    (found,) = run_json("predict", tmp_path / "net.keras", tmp_path / "x.npy")
    expected = expected.detach().numpy()[0]
    np.testing.assert_allclose(found, expected if expected.ndim > 1 else [expected], atol=2e-6)


def test_several_inputs_are_arrays_of_their_names(tmp_path: Path):
    model = make("two inputs")
    model.save(tmp_path / "net.keras")
    (tmp_path / "x.csv").write_text("1 2 3\n")
    run("show", tmp_path / "net.keras")
    error = run("predict", tmp_path / "net.keras", tmp_path / "x.csv", code=2).stderr
    assert "the net takes 2 inputs, a file holds one" in error
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((4, 6, 3)), draw.standard_normal((4, 2))
    rows = run_json("predict", tmp_path / "net.keras", _npz(tmp_path / "x.npz", x0=a, x1=b))
    expected = model([a.astype("float32"), b.astype("float32")]).detach().numpy()
    np.testing.assert_allclose(rows[0], expected, atol=2e-6)
    for wrong, why in (
        ({"x0": a * np.nan, "x1": b}, "x0 holds NaN, first at [0, 0, 0]"),
        ({"x0": a}, "holds x0, no array x1"),
        ({"x0": b, "x1": a}, "take x0 [4, 2]"),
    ):
        file = _npz(tmp_path / "wrong.npz", **wrong)
        assert why in run("predict", tmp_path / "net.keras", file, code=2).stderr
    make("encoder and decoder").save(tmp_path / "steps.keras")
    both = _npz(tmp_path / "both.npz", x0=a, x1=draw.standard_normal((4, 5, 2)))
    assert np.shape(run_json("predict", tmp_path / "steps.keras", both)) == (4, 5, 2)


def test_a_single_cell_has_no_steps_of_its_own(tmp_path: Path):
    cell = nn.GRUCell(3, 4)
    save_file(cell.state_dict(), tmp_path / "cell.safetensors")
    assert "GRUCell" in run("show", tmp_path / "cell.safetensors").stdout
    (tmp_path / "x.csv").write_text("1 2 3\n4 5 6\n")
    found = run_json("predict", tmp_path / "cell.safetensors", tmp_path / "x.csv")
    x, h = torch.arange(1.0, 7).reshape(2, 1, 3), None
    for row in x:
        h = cell(row, h)
    torch.testing.assert_close(torch.tensor(found)[0, 1], h[0])


def test_one_layer_of_several(tmp_path: Path):
    state = nn.ModuleDict({"a": nn.LSTM(2, 3), "b": nn.GRU(3, 4)}).state_dict()
    save_file(state, tmp_path / "both.safetensors")
    error = run("show", tmp_path / "both.safetensors", code=2).stderr
    assert "found 2 ('a.', 'b.'); choose one by prefix=" in error
    words = ("import", tmp_path / "both.safetensors", "-o", tmp_path / "m", "--prefix")
    assert "prefix='c.' is none of" in run(*words, "c.", code=2).stderr
    assert not (tmp_path / "m").exists()
    assert "GRU(3, 4)" in run(*words, "b.").stdout


# ------------------------------------------------------------ numbers


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("net") / "model"
    cello.save_model(cello.Stack(cello.GRU(2, 3), nn.Linear(3, 1)), folder)
    return folder


def _npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_every_form_of_the_same_numbers(net: Path, tmp_path: Path):
    x = np.array([[[1.5, 2], [3, 4]], [[5, 6], [7, 8.25]]])
    texts = {"a.csv": "1.5,2\n3,4\n\n5,6\n7,8.25\n", "b.txt": "p q\n1.5 2\n3;4\n\n\n5\t6\n7 8.25"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "c.npy", x)
    np.save(tmp_path / "d.npy", np.asfortranarray(x.astype(">f4")))
    _npz(tmp_path / "e.npz", anything=x)
    _npz(tmp_path / "f.npz", y=x[0], x=x.astype(np.float16))
    found = [run("predict", net, tmp_path / n).stdout for n in (*texts, "c.npy", "d.npy", "e.npz")]
    assert len(set(found)) == 1
    assert found[0].count("\n\n") == 1
    assert run("predict", net, tmp_path / "f.npz").stdout == found[0]
    one = tmp_path / "one.npy"
    np.save(one, x[0])
    assert found[0].startswith(run("predict", net, one).stdout)


def test_an_answer_to_nan_is_none(net: Path, tmp_path: Path):
    (tmp_path / "x.csv").write_text("1 2\n3 4\n\n5 6\n7 nan\n")
    error = run("predict", net, tmp_path / "x.csv", code=2).stderr
    assert "x.csv: sequence 2 holds NaN, first at [1, 1] counted from 0" in error
    (tmp_path / "x.csv").write_text("1 2\n3 inf\n")  # a gate that is open or shut
    assert np.isfinite(run_json("predict", net, tmp_path / "x.csv")).all()


def test_sequences_of_several_lengths(net: Path, tmp_path: Path):
    (tmp_path / "x.csv").write_text("1 2\n3 4\n5 6\n\n7 8\n")
    data = run_json("record", net, tmp_path / "x.csv", "--only", "0.0.h")
    assert np.shape(data["values"]["0.0.h"]) == (3, 2, 3)
    assert run_json("diagnose", net, tmp_path / "x.csv")["seen"] == "4 steps of 2 sequences"
    output = run("predict", net, tmp_path / "x.csv", "--color", "0.0.h:1").stdout
    assert [line.strip() for line in output.splitlines()[1::2]] == ["1 2", "3 4", "5 6", "7 8"]
    make("last step").save(tmp_path / "net.keras")
    (tmp_path / "x.csv").write_text("1 2 3\n3 4 5\n\n7 8 9\n")
    assert len(run_json("predict", tmp_path / "net.keras", tmp_path / "x.csv")) == 2
    error = run("record", tmp_path / "net.keras", tmp_path / "x.csv", code=2).stderr
    assert "sequences of one length at once, got 1 to 2 steps" in error


def _npy(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def _zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def _pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    return file.getvalue()


BAD = {
    b"": "holds no numbers to read",
    b"1 2\n1 b\n": "x:2: expected numbers, found '1 b': the model has no task",
    b"1 2\n3\n": "x:2: expected 2 numbers as on the line before, found 1",
    b"1 2 3\n": "the net reads 2 numbers a step, found 3",
    b"\xff\xfe": "is neither text nor a file of NumPy's",
    _npy((10**12, 2)): "x: is damaged: [1000000000000, 2] of float64 are not 0 bytes",
    _npy((2, 2), "|O"): "must hold numbers, found object",
    _pickled(): "must hold numbers, found object",
    _npy((2, 2))[:20]: "is damaged",
    b"\x93NUMPY\x07\x00": "is damaged",
    b"PK\x03\x04": "is damaged",
    _zipped("y.npy", _npy((0,))): "the net reads [steps, numbers], or several such, found [0]",
    _zipped("x.npy", b"\0" * 2**24): "unpacks to 16,777,216 bytes",
    _zipped("x.npy", b"text"): "x: x: is damaged",
}


@pytest.mark.parametrize("number", range(len(BAD)))
@pytest.mark.parametrize("command", ["predict", "record", "diagnose"])
def test_numbers_that_are_none(number: int, command: str, net: Path, tmp_path: Path):
    data, why = list(BAD.items())[number]
    (tmp_path / "x").write_bytes(data)
    assert why in run(command, net, tmp_path / "x", code=2).stderr
    assert "no such file" in run(command, net, tmp_path / "y", code=2).stderr


def test_ids_are_within_the_table(tmp_path: Path):
    cello.save_model(cello.Stack(nn.Embedding(5, 2), cello.GRU(2, 3)), tmp_path / "m")
    (tmp_path / "x").write_text("0\n4\n")
    assert np.shape(run_json("predict", tmp_path / "m", tmp_path / "x")) == (1, 2, 3)
    for text, found in (("0\n5\n", "5"), ("-1", "-1"), ("0.5", "0.5"), ("nan", "nan")):
        (tmp_path / "x").write_text(text)
        error = run("predict", tmp_path / "m", tmp_path / "x", code=2).stderr
        assert f"the net reads whole numbers from 0 to 4, found {found}" in error


# ------------------------------------------------------------ before it runs


def test_only_what_is_looked_at_does_not_wait_for_keras(
    files: dict[str, Path], rows: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
):
    calls, place = [], "cello.convert.keras.model.prove_beside_keras"
    monkeypatch.setattr(place, lambda *_: calls.append("proved") or Proof())
    run("show", files["keras"])
    assert calls == []
    run("record", files["keras"], rows[1])
    assert calls == ["proved"]


def test_weights_that_are_no_numbers_are_told(rows: tuple[Any, Path], tmp_path: Path):
    state = nn.LSTM(3, 4).state_dict()
    state["bias_hh_l0"][1] = torch.nan
    torch.save(state, tmp_path / "net.pt")
    with pytest.warns(UserWarning, match=r"net\.pt: the weights contain NaN: bias_hh_l0 \(1 of 4"):
        run("show", tmp_path / "net.pt")
    error = run("predict", tmp_path / "net.pt", rows[1], code=2).stderr
    assert "net.pt: the weights contain NaN: bias_hh_l0 (1 of 4 tensors); whatever it" in error


# ------------------------------------------------------------ what needs a task


@pytest.mark.parametrize("command", [("sample",), ("evaluate", "x")])
def test_a_command_that_needs_a_task_says_so(command: tuple[str, ...], files: dict[str, Path]):
    name, *rest = command
    assert "has no task" in run(name, files["keras"], *rest, code=2).stderr


def test_a_recording_has_a_known_ending(net: Path, tmp_path: Path):
    error = run("record", net, tmp_path / "x", "-o", "run.xyz", code=2).stderr
    assert "FILE must end in .safetensors or .html, got run.xyz" in error


def test_a_text_is_recorded_with_its_task(kinds_model: Path, words_model: Path, tmp_path: Path):
    (tmp_path / "a.py").write_text("x = 1\n")
    data = run_json("record", kinds_model, tmp_path / "a.py", "--only", "c")
    assert np.shape(data["values"]["1.0.c"]) == (6, 1, 6)
    run("record", words_model, "-", "-o", tmp_path / "w.html", stdin="Taipei\non\n\nMonday\n")
    assert "Taipei" in (tmp_path / "w.html").read_text()
    assert json.loads(run("record", words_model, "-", "--json", stdin="on\n").stdout)["names"]


def test_what_takes_a_while_is_said_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, said in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", screen)
        with busy("reading net.keras"):
            pass
        assert ("reading net.keras" in screen.getvalue()) is said


def test_a_graph_whose_layers_have_time_first(tmp_path: Path):
    graph = NetGraph(
        [cello.GRU(2, 3)], [[0, [0], {}], ["state", [1], {"index": 0}]], outputs=[1, 2]
    )
    cello.save_model(graph, tmp_path / "m")
    (tmp_path / "x.csv").write_text("1 2\n3 4\n5 6\n")
    found = run_json("predict", tmp_path / "m", tmp_path / "x.csv")
    x = torch.arange(1.0, 7).reshape(3, 1, 2)
    torch.testing.assert_close(torch.tensor(found)[0], graph(x)[0][:, 0])


def test_a_graph_that_looks_words_up_behind_a_function(tmp_path: Path):
    parts = [nn.Embedding(5, 2), cello.GRU(2, 3, batch_first=True)]
    graph = NetGraph(parts, [["flip", [0], {"axis": 1}], [0, [1], {}], [1, [2], {}]], outputs=[3])
    cello.save_model(graph, tmp_path / "m")
    np.save(tmp_path / "x.npy", np.array([[0, 1, 4], [3, 3, 2]]))
    found = torch.tensor(run_json("predict", tmp_path / "m", tmp_path / "x.npy"))
    torch.testing.assert_close(found, graph(torch.tensor([[0, 1, 4], [3, 3, 2]])))
