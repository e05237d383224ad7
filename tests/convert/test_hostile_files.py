"""Files that attack: each is refused by a typed error, in little memory, and nothing is run.

They are read in a process of their own, whose memory is bounded once everything is imported.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

import cello
from cello.convert import open_file
from cello.errors import ArgumentError, ModelError
from tests.convert.keras.models import make
from tests.patience import LIMIT

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

MIB = 2**20
READ_ALL = f"""
import resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import h5py, safetensors.torch, torch
from cello.convert import open_file
from cello.errors import ArgumentError, ModelError
torch.set_num_threads(1)
open_file(Path(sys.argv[1]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 512 * {MIB},) * 2)
for name in sys.argv[2:]:
    try:
        open_file(Path(name))
        print("opened")
    except (ArgumentError, ModelError) as error:
        print(" ".join(str(error).split()))
    except BaseException as error:
        print("FAULT", type(error).__name__, error)
"""


class Runs:
    """A pickle that makes a folder when it is read by one who trusts it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("was_run",)


# ------------------------------------------------------------ PyTorch's


def _saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _expanded() -> bytes:
    """A state dict of one number that says that it is a million times a million."""
    one = torch.zeros(1)
    return _saved(
        {
            "weight_ih_l0": one.expand(4 * 10**6, 10**6),
            "weight_hh_l0": one.expand(4 * 10**6, 10**6),
            "bias_ih_l0": one.expand(4 * 10**6),
            "bias_hh_l0": one.expand(4 * 10**6),
        }
    )


def _packed() -> bytes:
    """A file of `torch.save` whose zeros are packed a thousandfold."""
    with zipfile.ZipFile(io.BytesIO(_saved({"weight_ih": torch.zeros(2**26)}))) as archive:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in archive.namelist():
                packed.writestr(name, archive.read(name))
    return file.getvalue()


def _head(length: int, text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + text + data


def _tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> bytes:
    told = {"weight_ih_l0": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}
    return json.dumps(told).encode()


LSTM = nn.LSTM(2, 3).state_dict()


def safetensors() -> dict[str, tuple[bytes, str]]:
    many = {f"weight_ih_l{number}": torch.zeros(4, 1) for number in range(12_000)}
    return {
        "empty": (b"", "is no file of weights"),
        "cut": (save(LSTM)[:-7], "is no file of weights"),
        "a head of 2^63 bytes": (_head(2**63, b"{}"), "is no file of weights"),
        "a head past the end": (_head(90_000_000, b"{}"), "is no file of weights"),
        "sizes of which there are no bytes": (
            _head(len(_tensor([10**6, 10**6], 0, 4)), _tensor([10**6, 10**6], 0, 4), b"1234"),
            "is no file of weights",
        ),
        "a tensor outside": (
            _head(len(_tensor([1], 0, 10**12)), _tensor([1], 0, 10**12), b"1234"),
            "is no file of weights",
        ),
        "a shape whose product is 0 in 64 bits": (
            _head(len(_tensor([2**32, 2**32], 0, 0)), _tensor([2**32, 2**32], 0, 0)),
            "is no file of weights",
        ),
        "deep": (_head(200_000, b"[" * 200_000), "is no file of weights"),
        "many layers": (save({**many, "weight_hh_l0": torch.zeros(4, 1)}), "no net has as many"),
        "many nets": (
            save({f"{number}.weight_ih_l0": torch.zeros(1) for number in range(20_000)}),
            "found 20000 ('0.', '1.', '10.', '100.', '1000.', '10000.', '10001.', '10002.', "
            "'10003.'",
        ),
        "whole numbers": (save({k: v.to(torch.int32) for k, v in LSTM.items()}), "weight_ih_l0"),
        "eight bits": (
            save({k: v.to(torch.float8_e4m3fn) for k, v in LSTM.items()}),
            "weight_ih_l0",
        ),
    }


def pickles() -> dict[str, tuple[bytes, str]]:
    return {
        "cut": (_saved(LSTM)[:-99], "is no file of weights"),
        "code": (_saved({"weight_ih_l0": Runs()}), "is no file of weights"),
        "a list": (_saved([1]), "holds a list, not a state dict"),
        "expanded": (_expanded(), "[4000000, 1000000] is larger than the file that holds it"),
        "packed": (_packed(), "bytes, which torch.save never does"),
        "sparse": (_saved({"weight_ih_l0": torch.eye(3).to_sparse()}), "is sparse or quantized"),
        "whole numbers": (_saved({k: v.int() for k, v in LSTM.items()}), "weight_ih_l0"),
        "complex": (_saved({k: v + 0j for k, v in LSTM.items()}), "weight_ih_l0"),
    }


# ------------------------------------------------------------ RTNeural's

WIDE = json.dumps(["x" * 10**5, *[""] * 10**5])  # an array of as wide texts has 40 GB
JSONS: dict[str, tuple[bytes, str]] = {
    "deep": (b"[" * 10**6, "is no JSON file"),
    "deep in a weight": (b'{"a.weight": ' + b"[" * 900 + b"]" * 900 + b"}", "must be numbers"),
    "wide texts": (f'{{"a.weight": {WIDE}}}'.encode(), "a.weight must be numbers"),
    "large whole numbers": (b'{"a.weight": [[' + b"9" * 4000 + b"]]}", "must be numbers"),
    "whole numbers past a limit of Python's": (b'{"a": ' + b"9" * 10**5 + b"}", "is no JSON file"),
    "a size of 10^18": (
        b'{"in_shape": [null, 1], "layers": [{"type": "lstm", "shape": [1000000000000000000],'
        b'"weights": [[[1]], [[1]], [1]]}]}',
        "must be numbers [4000000000000000000], found [1]",
    ),
    "not text": (b"\xff\xfe\x00", "is no JSON file"),
}


# ------------------------------------------------------------ Keras's


def _legacy(folder: Path, change: Callable[[h5py.File], None]) -> bytes:
    """A whole `.h5` file after a change of the open one."""
    file = io.BytesIO((folder / "net.h5").read_bytes())
    with h5py.File(file, "r+") as opened:
        change(opened)
    return file.getvalue()


def _layer(opened: h5py.File) -> h5py.Group:
    name = next(name for name in opened["model_weights"] if name.startswith("lstm"))
    return opened["model_weights"][name]


def _kernel(opened: h5py.File) -> str:
    path = _layer(opened).attrs["weight_names"][0]
    return path.decode() if isinstance(path, bytes) else path


def _replaced(put: Callable[[h5py.Group, str], Any]) -> Callable[[h5py.File], None]:
    def change(opened: h5py.File) -> None:
        path = _kernel(opened)
        del _layer(opened)[path]
        put(_layer(opened), path)

    return change


def _config(text: str) -> Callable[[h5py.File], None]:
    return lambda opened: opened.attrs.modify("model_config", text)


def _named_often(opened: h5py.File) -> None:
    """One array of 8 MiB, which a thousand names ask for."""
    layer = _layer(opened)
    layer.create_dataset("large", data=np.zeros(2 * MIB, "f4"))
    layer.attrs["weight_names"] = [b"large"] * 1000


H5S: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a soft link": (_replaced(lambda g, p: g.__setitem__(p, h5py.SoftLink("/x"))), "is a link"),
    "a link to itself": (_replaced(lambda g, p: g.__setitem__(p, h5py.SoftLink(p))), "is a link"),
    "a link outside": (
        _replaced(lambda g, p: g.__setitem__(p, h5py.ExternalLink("/etc/passwd", "/"))),
        "is a link, which is not followed",
    ),
    "numbers of another file": (
        _replaced(lambda g, p: g.create_dataset(p, (3, 16), "f4", external="/etc/passwd")),
        "keeps its numbers in another file",
    ),
    "10^18 numbers": (
        _replaced(lambda g, p: g.create_dataset(p, (10**9, 10**9), "f4", chunks=(9, 9))),
        "is larger than the file that holds it",
    ),
    "packed zeros": (
        _replaced(
            lambda g, p: g.create_dataset(p, data=np.zeros((2**22, 16), "f4"), compression="gzip")
        ),
        "is larger than the file that holds it",
    ),
    "texts": (_replaced(lambda g, p: g.create_dataset(p, data=[b"x"])), "an array of numbers"),
    "one array a thousand times": (_named_often, "is larger than the file that holds it"),
    "no array": (_replaced(lambda g, p: None), "there is no"),
    "a deep configuration": (_config("[" * 10**6), "is damaged, or no file of Keras's"),
    "a configuration of another kind": (_config("[1]"), "must be a table, found list"),
    "a layer of 10^9 units": (
        lambda f: f.attrs.modify(
            "model_config", f.attrs["model_config"].replace('"units": 4', '"units": 1000000000')
        ),
        "kernel must be [any, 4000000000], found [3, 16]",
    ),
}


def _loop(opened: h5py.File) -> None:
    """A group that stands in itself."""
    group = opened["layers/lstm"]
    group["cell/cell"] = group["cell"]


def _keras(folder: Path, change: Callable[[dict[str, bytes]], None], how: int) -> bytes:
    with zipfile.ZipFile(folder / "net.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _looped(members: dict[str, bytes]) -> None:
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as opened:
        _loop(opened)
    members["model.weights.h5"] = weights.getvalue()


def _with_code(members: dict[str, bytes]) -> None:
    """A Lambda layer, whose bytes Keras would run, and a class whose module would be imported."""
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] |= {
        "module": "antigravity",
        "class_name": "Lambda",
        "registered_name": None,
    }
    config["config"]["layers"][1]["config"]["function"] = {
        "class_name": "__lambda__",
        "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None},
    }
    members["config.json"] = json.dumps(config).encode()


ZIPS: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "packed weights": (
        lambda m: m.__setitem__("model.weights.h5", b"\0" * (128 * MIB)),
        "unpacks to 134,217,728 bytes, which no model needs",
    ),
    "a packed configuration": (
        lambda m: m.__setitem__("config.json", b" " * (31 * MIB) + b"{}"),
        "bytes, which no model needs",
    ),
    "a deep configuration": (
        lambda m: m.__setitem__("config.json", b'{"a":' * 10**5),
        "is damaged, or no file of Keras's",
    ),
    "a group in itself": (_looped, "stands more than 5 groups deep in its layer"),
    "code": (_with_code, "(Lambda) cannot be opened"),
}


# ------------------------------------------------------------ all of them


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for ending in ("keras", "h5"):
        make("lstm").save(folder / f"net.{ending}")
    save_file(LSTM, folder / "net.safetensors")
    torch.save(LSTM, folder / "net.pt")
    cello.to_rtneural(cello.Stack(cello.GRU(1, 2), nn.Linear(2, 1)), folder / "net.json")
    return folder


@pytest.fixture(scope="module")
def attacks(folder: Path) -> dict[str, tuple[Path, str]]:
    """Each file, and why it must be refused."""
    files: dict[str, tuple[Path, str]] = {}

    def put(ending: str, name: str, data: bytes, why: str) -> None:
        file = folder / f"{len(files)}.{ending}"
        file.write_bytes(data)
        files[f"{ending}: {name}"] = file, why

    for ending, table in (("safetensors", safetensors()), ("pt", pickles()), ("json", JSONS)):
        for name, (data, why) in table.items():
            put(ending, name, data, why)
    for name, (change, why) in H5S.items():
        put("h5", name, _legacy(folder, change), why)
    for name, (alter, why) in ZIPS.items():
        put("keras", name, _keras(folder, alter, zipfile.ZIP_DEFLATED), why)
    whole = {ending: (folder / f"net.{ending}").read_bytes() for ending in ("keras", "h5")}
    for ending, data in whole.items():
        for share in (0, 0.01, 0.5, 0.99):
            put(ending, f"cut at {share}", data[: int(share * len(data))], "is damaged, or no file")
        put(ending, "another file's", (folder / "net.pt").read_bytes(), ".")
    return files


def test_attacks_are_refused_in_little_memory(folder: Path, attacks: dict[str, tuple[Path, str]]):
    paths = [str(file) for file, _ in attacks.values()]
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(folder / "net.safetensors"), *paths],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(attacks, done.stdout.splitlines(), strict=True))
    wrong = {name: found[name] for name, (_, why) in attacks.items() if why not in found[name]}
    assert wrong == {}
    assert not [name for name, said in found.items() if said == "opened" or "FAULT" in said]
    assert not (folder / "was_run").exists()


@pytest.mark.filterwarnings("ignore:of the state dict, the recurrent layer")
@pytest.mark.parametrize("ending", ["keras", "h5", "safetensors", "pt", "json"])
@pytest.mark.usefixtures("step_by_step")
def test_mutated_files_are_opened_or_refused(ending: str, folder: Path, tmp_path: Path):
    good, draw = (folder / f"net.{ending}").read_bytes(), random.Random(1)
    file, refused = tmp_path / f"mutated.{ending}", 0
    for _ in range(100):
        data = bytearray(good)
        for _ in range(draw.choice((1, 4, 40))):
            place = draw.randrange(len(data))
            if draw.random() < 0.5:
                data[place] = draw.randrange(256)
            else:  # a piece of the file at another place
                begin = draw.randrange(len(data))
                piece = data[begin : begin + draw.choice((4, 8, 64))]
                data[place : place + len(piece)] = piece
        file.write_bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])
        try:
            open_file(file)
        except (ModelError, ArgumentError):
            refused += 1
    assert refused > 30


def test_a_checkpoint_holds_the_weights_under_a_name(tmp_path: Path):
    net = nn.GRU(2, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(4, 1, 2))[0].sum().backward()
    optimizer.step()
    torch.save(
        {"epoch": 3, "optimizer": optimizer.state_dict(), "state_dict": net.state_dict()},
        tmp_path / "checkpoint.pt",
    )
    x = torch.randn(5, 2, 2)
    torch.testing.assert_close(cello.from_torch(tmp_path / "checkpoint.pt")(x), net(x))
