"""The tool that times commands: a line for each, and never the time of a failure."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from tests.docs_checker import ROOT


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    file = ROOT / "tools" / "time_commands.py"
    spec = importlib.util.spec_from_file_location("time_commands", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_command_gets_a_line(tool, capsys: pytest.CaptureFixture[str]):
    tool.main(rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:32].rstrip() for line in lines] == [name for name, *_ in tool.COMMANDS]
    for line in lines:
        assert re.search(r" \d+\.\d\d s  \(\d+\.\d\d to \d+\.\d\d, 1 runs\)$", line)


@pytest.mark.parametrize(("status", "part"), [(0, "lstm"), (2, "--hidden-size")])
def test_another_answer_is_not_timed(tool, status: int, part: str):
    with pytest.raises(SystemExit, match="ended with 2 and said"):
        tool.seconds(["example", "--nonsense"], {}, status, part)
