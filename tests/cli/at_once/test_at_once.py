"""What needs no tensor imports no PyTorch, and answers at once."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cello
from cello.cli.source_constants import constant, default_of
from tests.cli.running import ENVIRONMENT, ROOT

NAMED = sorted(
    {
        where
        for file in (ROOT / "src/cello/cli").rglob("*.py")
        for where in re.findall(r'"(cello\.[a-z_.]+:[A-Za-z_.]+)"', file.read_text())
    }
)


def test_help_completion_lists_and_mistakes_import_nothing_that_takes_long(tmp_path: Path):
    script, told = tmp_path / "cello", tmp_path / "told.json"
    script.write_text((ROOT / "tests/cli/at_once/started_as_cello.py").read_text())
    done = subprocess.run(
        [sys.executable, script, told],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [
        f"`cello {words}` imports {package} ({where}): move the import into the function that "
        "needs it, or under TYPE_CHECKING; take choices and defaults from "
        "cello.cli.source_constants"
        for words, package, where in json.loads(told.read_text())
    ]
    assert not said, "\n".join(said)


def imported(*words: str) -> set[str]:
    """What `python -m cello WORDS` imports."""
    command = [sys.executable, "-X", "importtime", "-m", "cello", *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_as_a_module_too():
    found = imported("--help")
    assert "cello.cli" in found
    assert not found & {"torch", "numpy"}


def test_an_example_imports_pytorch_but_not_its_compiler():
    """Which takes as long again; PyTorch imports it for some operations on its device "meta"."""
    found = imported("example", "lstm")
    assert "torch" in found
    assert not found & {"torch._dynamo", "torch.onnx", "sympy"}


def test_a_program_that_imports_cello_has_its_operators(tmp_path: Path):
    """As one needs them who loads a file that `torch.export.save` wrote."""
    script = tmp_path / "own.py"
    script.write_text("import cello\nimport torch\nassert torch.ops.cello.forward.default\n")
    subprocess.run([sys.executable, script, "cello"], env=ENVIRONMENT, check=True)


@pytest.mark.parametrize("name", cello.__all__)
def test_where_names_are_is_said_truly(name: str):
    """By the table that serves a command, which imports nothing before."""
    if name not in ("CelloError", "__version__", "errors"):
        assert cello.__getattr__(name) is getattr(cello, name)


@pytest.mark.parametrize("where", NAMED)
def test_what_is_read_is_what_is_imported(where: str):
    found = pkgutil.resolve_name(where)
    if not callable(found):
        assert constant(where) == found
        return
    for name, parameter in inspect.signature(found).parameters.items():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            assert default_of(where, name) == parameter.default


def test_there_is_something_to_read():
    assert "cello.tasks.networks:CAUSAL_KINDS" in NAMED
    assert "cello.tasks.tagging:Tagging.from_conll" in NAMED


def test_what_cannot_be_read():
    with pytest.raises(LookupError, match="lstm"):
        constant("cello.tasks.networks:lstm")
