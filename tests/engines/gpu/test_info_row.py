"""What `cello info` says of this machine."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from cello.cli import cli


def found() -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["info", "--json"])
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def test_loops_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they can run, and that "auto" takes them only once they have been checked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    values = found()
    assert (values["gpus"], values["loops on a gpu"]) == ([], "none: PyTorch sees no GPU")
    assert values["engines"] == ["auto", "cpu", "split", "reference", "gpu"]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _number: "NVIDIA H100 PCIe")
    values = found()
    assert values["gpus"] == ["NVIDIA H100 PCIe"]
    assert values["loops on a gpu"] == (
        "in Triton, by themselves once a first call of a cell equals its step on that card"
    )

    version = importlib.metadata.version

    def without_triton(name: str) -> str:
        if name == "triton":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_triton)
    assert found()["loops on a gpu"] == "none: Triton is not installed"
