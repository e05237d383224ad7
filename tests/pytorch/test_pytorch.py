"""PyTorch's own recurrent tests over our layers, in processes of their own.

The samples of its `module_db` come with torch; an ordinary run takes some of them, `make test-full`
all. Its test files do not come with it: the folder test/ of its sources, of the version that is
installed, is named by PYTORCH_TESTS.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.effort import FULL

ROOT = Path(__file__).parents[2]
#: The folder with PyTorch's test files.
FOLDER = Path(os.environ.get("PYTORCH_TESTS", "no such folder"))

#: Which tests of a file are of these layers, and which of those are not ours to pass: the words of
#: errors, what only a GPU does, models that were saved with a class of PyTorch's, and the refusal
#: of sequences without a step, which ours take.
OF_THESE_LAYERS = {
    "test_modules.py": "cpu and not test_errors",
    "test_nn.py": (
        "(rnn or lstm or gru or variable_sequence) and not (cudnn or cuda or meta "
        "or save_lstm or seq_len_zero)"
    ),
}


def passed(*arguments: str) -> int:
    """How many tests pytest runs in a process of its own, where all must pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) passed", done.stdout.splitlines()[-1])
    assert counted is not None, done.stdout
    return int(counted[1])


def passed_in_their_place(file: Path) -> int:
    """The same of those tests of a file of PyTorch's that are of these layers."""
    alone = ["--noconftest", "-c", os.devnull, "--rootdir", str(file.parent)]
    plugin = ["-p", "tests.pytorch.in_their_place"]
    return passed(*alone, *plugin, "-k", OF_THESE_LAYERS[file.name], str(file))


@pytest.mark.slow
def test_samples() -> None:
    assert passed("tests/pytorch/samples.py") > (900 if FULL else 100)


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="PyTorch's own tests take minutes: make test-full")
@pytest.mark.skipif(
    FULL and not FOLDER.is_dir(),
    reason="PyTorch's own test files are run where PYTORCH_TESTS names the folder test/ of its "
    "sources",
)
@pytest.mark.parametrize("name", OF_THESE_LAYERS)
def test_test_files(name: str) -> None:
    assert passed_in_their_place(FOLDER / name) > 15


def test_our_layers_are_in_their_place(tmp_path: Path) -> None:
    """What the plugin does: a test file of PyTorch's form gets our classes, and only them."""
    (tmp_path / "test_modules.py").write_text(
        """
import cello
from torch import nn
from torch.testing._internal.common_modules import module_db

def test_cpu():
    ours = {cello.RNN, cello.LSTM, cello.GRU}
    assert {info.module_cls for info in module_db} == ours == {nn.RNN, nn.LSTM, nn.GRU}

def test_errors_cpu():
    raise AssertionError
""",
        encoding="utf-8",
    )
    assert passed_in_their_place(tmp_path / "test_modules.py") == 1
