import logging
import types

import pytest
from lightning_fabric.utilities.rank_zero import rank_zero_info

from cello.errors import ArgumentError
from cello.train import Options
from cello.train.fabric import make_fabric, quiet


def test_options_go_to_fabric():
    fabric = make_fabric(Options(accelerator="cpu", devices=1, precision="bf16-mixed"))
    assert fabric.device.type == "cpu"
    assert fabric.strategy.precision.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"accelerator": "abacus"}, "accelerator='abacus'"),
        ({"strategy": "hope"}, "strategy='hope'"),
        ({"precision": "7-true"}, "precision='7-true'"),
        ({"devices": 0}, "devices=0"),
    ],
)
def test_what_fabric_does_not_take(changed: dict, shown: str):
    with pytest.raises(ArgumentError, match=rf"^Lightning Fabric does not take .*{shown}.*: "):
        make_fabric(Options(**{"accelerator": "cpu", **changed}))


def test_strategies_that_spread_the_weights_are_refused(monkeypatch: pytest.MonkeyPatch):
    from lightning_fabric.strategies import FSDPStrategy

    strategy = types.SimpleNamespace(strategy=object.__new__(FSDPStrategy))
    monkeypatch.setattr("cello.train.fabric.Fabric", lambda **_: strategy)
    message = "^strategy='fsdp' spreads the weights over processes; .* use 'auto' or 'ddp'$"
    with pytest.raises(ArgumentError, match=message):
        make_fabric(Options(strategy="fsdp"))


def test_quiet(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    with quiet():
        rank_zero_info("GPU available: no")
        logger.info("Seed set to 0")
    assert logger.level == before
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    assert caplog.records == []
