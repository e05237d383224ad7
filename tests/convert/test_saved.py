from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import cello
from cello.convert import FORMAT, load_model, read_config, save_model, saved
from cello.errors import DtypeError, ModelError
from tests.convert.nets import OWN, all_nets, input_for
from tests.durable import inode, on_disk


def bits(net: nn.Module) -> dict[str, tuple[torch.dtype, bytes]]:
    """Every saved tensor of a network, to the bit."""
    return {
        name: (
            value.dtype,
            value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes(),
        )
        for name, value in net.state_dict().items()
    }


def small(value: float = 1.0) -> nn.Module:
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3)), nn.Linear(3, 1))
    with torch.no_grad():
        net[0].cell.W.fill_(value)
    return net


# ------------------------------------------------------------ there and back


@pytest.mark.parametrize("name", all_nets())
def test_a_saved_net_gives_the_same_results(name: str, tmp_path: Path):
    net = all_nets()[name].eval()
    save_model(net, tmp_path / "model")
    again = load_model(tmp_path / "model", OWN)
    assert bits(again) == bits(net)
    assert not again.training
    x = input_for(name)
    assert torch.equal(again(x)[0], net(x)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_come_back_to_the_bit(dtype: torch.dtype, tmp_path: Path):
    net = all_nets()["own"].to(dtype)
    with torch.no_grad():
        net[2].bias[0], net[2].weight[0, 0], net[2].weight[1, 0] = torch.nan, -torch.inf, -0.0
    save_model(net, tmp_path)
    with pytest.warns(
        UserWarning, match=r"safetensors: the weights contain NaN: 2\.bias \(1 of 4 te"
    ):
        again = load_model(tmp_path, OWN)
    assert bits(again) == bits(net)
    assert again[0].one.dtype == dtype  # not saved, but the input of the first cell is made of it


def test_each_parameter_keeps_its_own_dtype(tmp_path: Path):
    net = small()
    net[1].double()
    save_model(net, tmp_path)
    assert bits(load_model(tmp_path)) == bits(net)


def test_shared_parameters_stay_shared(tmp_path: Path):
    net = cello.Stack(
        nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), cello.Recurrent(nn.RNNCell(3, 2))
    )
    net[1].weight = net[0].weight
    save_model(net, tmp_path)
    again = load_model(tmp_path)
    assert again[1].weight is again[0].weight
    assert bits(again) == bits(net)
    assert len(safetensors.torch.load_file(tmp_path / "weights.safetensors")) == 5


def test_parameters_that_are_views_of_one_memory_are_saved_one_by_one(tmp_path: Path):
    net = nn.Linear(2, 4)
    memory = torch.arange(12.0)
    net.weight, net.bias = nn.Parameter(memory[:8].view(2, 4).t()), nn.Parameter(memory[6:10])
    save_model(net, tmp_path)
    assert bits(load_model(tmp_path)) == bits(net)


def test_what_was_loaded_can_be_trained(tmp_path: Path):
    net = cello.LSTM(3, 4, bidirectional=True)
    save_model(net, tmp_path)
    again = load_model(tmp_path)
    again(torch.randn(5, 2, 3))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())
    with torch.no_grad():
        again.weight_ih_l0.zero_()
    x = torch.randn(5, 2, 3)
    assert not torch.equal(again(x)[0], net(x)[0])  # it runs on what state_dict shows


def test_saving_and_loading_draw_no_random_numbers(tmp_path: Path):
    net = small()
    before = torch.get_rng_state()
    save_model(net, tmp_path)
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_config_can_be_read(tmp_path: Path):
    save_model(small(), tmp_path, task={"task": "tag", "tags": ["O", "地点"]})
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert "地点" in text
    config = read_config(tmp_path)
    assert config == json.loads(text)
    assert (config["format"], config["cello"]) == (FORMAT, cello.__version__)
    assert config["task"] == {"task": "tag", "tags": ["O", "地点"]}
    assert config["net"]["modules"][0]["cell"]["type"] == "ElmanCell"


def test_other_files_in_the_folder_stay(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        save_model(small(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "notes.txt",
        "weights.safetensors",
    ]


# ------------------------------------------------------------ replacing, and being cut off


def test_both_files_and_their_names_are_on_the_disk_at_the_end(tmp_path: Path):
    with on_disk() as done:
        save_model(small(), tmp_path)
    files = {inode(tmp_path / name) for name in ("config.json", "weights.safetensors")}
    assert set(done[:2]) == files
    assert done[2:] == ["renamed", "renamed", inode(tmp_path)]


class Killed(BaseException):
    pass


def killed_at(stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that changes the folder die before its `stage`-th call."""
    calls = [0]

    def dying(real: Callable) -> Callable:
        def change(*args: object) -> object:
            calls[0] += 1
            if calls[0] > stage:
                raise Killed
            return real(*args)

        return change

    monkeypatch.setattr(saved, "write", dying(saved.write))
    monkeypatch.setattr(saved, "rename", dying(saved.rename))


@pytest.mark.parametrize("stage", range(5))
def test_a_model_is_whole_whenever_a_replacement_is_killed(
    stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, new, newest = small(1.0), cello.Recurrent(cello.GRUCell(2, 3)), small(3.0)
    save_model(old, tmp_path)
    with monkeypatch.context() as patch:
        killed_at(stage, patch)
        if stage < 4:  # two files written, two renamed
            with pytest.raises(Killed):
                save_model(new, tmp_path)
        else:
            save_model(new, tmp_path)
    found = load_model(tmp_path)
    assert bits(found) == bits(old if stage < 3 else new)
    # The next one, killed while writing, must not destroy it either.
    with monkeypatch.context() as patch:
        killed_at(1, patch)
        with pytest.raises(Killed):
            save_model(newest, tmp_path)
    assert bits(load_model(tmp_path)) == bits(found)
    save_model(newest, tmp_path)
    assert bits(load_model(tmp_path)) == bits(newest)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "weights.safetensors",
    ]


def test_a_full_disk_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_model(small(1.0), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"^cannot write the model .*: .*No space left on device"):
        save_model(small(2.0), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ModelError, match="No space left on device"):
        save_model(small(2.0), tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ------------------------------------------------------------ what is wrong


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match=r"^cannot write the model .*model: "):
        save_model(small(), tmp_path / "model")
    with pytest.raises(ModelError, match=r"model is no saved model: it has no config\.json$"):
        load_model(tmp_path / "model")


def test_a_missing_folder(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"nowhere does not exist: expected the folder of a saved model$"
    ):
        load_model(tmp_path / "nowhere")


def damage(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def reseal(folder: Path) -> None:
    """Make the config agree with the weights, as one does who replaces them by hand."""
    seal = saved.seal((folder / "weights.safetensors").read_bytes())
    damage(folder, weights={"file": "weights.safetensors", **seal})


def misstate(folder: Path, **values: object) -> None:
    """Say something else of the weights: well formed, but not so."""
    damage(folder, weights=read_config(folder)["weights"] | values)


def cut(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def flip(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


def pickled(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps({"a": torch.zeros(2)}))
    reseal(folder)


def cut_and_resealed(folder: Path) -> None:
    cut(folder)
    reseal(folder)


def other_shapes(folder: Path) -> None:
    tensors = safetensors.torch.load_file(folder / "weights.safetensors")
    tensors["extra"] = tensors.pop("0.cell.b")
    tensors["1.weight"] = torch.zeros(3, 3)
    safetensors.torch.save_file(tensors, folder / "weights.safetensors")
    reseal(folder)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"is no saved model: it has no config\.json$"),
        (
            lambda f: (f / "config.json").write_text('{"format": 1,'),
            r"config\.json is damaged: Exp",
        ),
        (lambda f: (f / "config.json").write_bytes(b"\xff{}"), r"config\.json is damaged: "),
        (lambda f: (f / "config.json").write_text("[]"), r"is not the config of a model of Cello"),
        (
            lambda f: damage(f, format=FORMAT + 1, cello="9.0"),
            rf"is of format {FORMAT + 1}, written by Cello 9\.0; this one, .* up to {FORMAT}: ",
        ),
        (lambda f: damage(f, net=[]), r"config\.json is damaged: net is missing or no table$"),
        (lambda f: damage(f, weights=None), r"is damaged: weights is missing or no table$"),
        (
            lambda f: damage(f, net={"type": "Tanh", "x": 1}),
            r"config\.json: net \(Tanh\) has no arg",
        ),
        (
            lambda f: (f / "weights.safetensors").unlink(),
            r"no whole model: it has no weights",
        ),
        (cut, r"weights\.safetensors is damaged: it has \d+ bytes instead of \d+$"),
        (
            flip,
            r"weights\.safetensors is damaged: its SHA-256 is not the one that was written down$",
        ),
        (lambda f: misstate(f, bytes=1), r"is damaged: it has \d+ bytes instead of 1$"),
        (lambda f: misstate(f, sha256="0" * 64), r"is damaged: its SHA-256 is not the one that "),
        (
            lambda f: misstate(f, shared={"0.cell.b": "nowhere"}),
            r"config\.json is damaged: weights\.shared says that '0\.cell\.b' is 'nowhere', ",
        ),
        (cut_and_resealed, r"weights\.safetensors is damaged: "),
        (pickled, r"weights\.safetensors is damaged: "),
        (
            other_shapes,
            r"weights\.safetensors does not fit the network in .*: 0\.cell\.b is missing; "
            r"1\.weight must be \[1, 3\], found \[3, 3\]; extra is not in the network$",
        ),
    ],
)
def test_a_damaged_model_is_told(do: Callable[[Path], object], message: str, tmp_path: Path):
    save_model(small(), tmp_path)
    do(tmp_path)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_a_class_that_is_not_given(tmp_path: Path):
    save_model(all_nets()["own"], tmp_path)
    with pytest.raises(
        ModelError, match=r"config\.json: net\[0\] is a Encoder, .*passed as cells=\[Encoder\]$"
    ):
        load_model(tmp_path)


class Named(cello.Cell):
    """Calls itself otherwise than most do."""

    state = ("h",)

    def __init__(this, sizes: int):
        super().__init__(sizes, sizes)
        this.sizes = sizes

    def step(this, x, h):
        return x + h, (x + h,)


def test_classes_are_given_as_a_list(tmp_path: Path):
    save_model(cello.Recurrent(Named(3)), tmp_path)
    assert type(load_model(tmp_path, cells=[Named]).cell) is Named
    slips = (
        (Named, r"a list of classes, cells=\[Named\], got Named itself$"),
        ("Named", "a list of classes, got str"),
        (3, "a list of classes, got int"),
        ([Named(3)], "must hold classes of modules, got Named"),
    )
    for cells, message in slips:
        with pytest.raises(DtypeError, match=message):
            load_model(tmp_path, cells=cells)


def test_a_net_that_is_not_what_its_arguments_make_is_not_saved(tmp_path: Path):
    net = small()
    net[1].extra = nn.Parameter(torch.zeros(2))
    with pytest.raises(
        ModelError,
        match=r"^the network cannot be saved: .* arguments make: 1\.extra is not in the network$",
    ):
        save_model(net, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_task_that_json_cannot_hold(tmp_path: Path):
    with pytest.raises(ModelError, match=r"^task must be made of what JSON can hold: "):
        save_model(small(), tmp_path / "model", task={"tags": {"O"}})
    assert not (tmp_path / "model").exists()
