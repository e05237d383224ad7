import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cello.errors import ArgumentError
from cello.train.report.log import MetricsLog
from tests.train.fakes import logged


def test_rows_are_on_the_disk_at_once(tmp_path: Path):
    log = MetricsLog(tmp_path, ("csv",))
    log.write({"loss": 0.1}, 10)
    assert logged(tmp_path) == [{"loss": "0.1", "step": "10"}]
    log.write({"accuracy": 0.5}, 10)
    log.write({"loss": 0.2}, 20)
    assert log.rows == 3
    assert logged(tmp_path) == [
        {"accuracy": "", "loss": "0.1", "step": "10"},
        {"accuracy": "0.5", "loss": "", "step": "10"},
        {"accuracy": "", "loss": "0.2", "step": "20"},
    ]


def test_a_resumed_log_keeps_the_rows_of_the_checkpoint(tmp_path: Path):
    log = MetricsLog(tmp_path, ("csv",))
    for step in (10, 20, 30):
        log.write({"loss": step / 100}, step)
    again = MetricsLog(tmp_path, ("csv",), rows=2, step=20)
    assert [row["step"] for row in logged(tmp_path)] == ["10", "20"]
    again.write({"loss": 0.25}, 30)
    assert [(row["step"], row["loss"]) for row in logged(tmp_path)] == [
        ("10", "0.1"), ("20", "0.2"), ("30", "0.25"),
    ]  # fmt: skip
    assert again.rows == 3


def test_a_row_that_was_cut_off(tmp_path: Path):
    log = MetricsLog(tmp_path, ("csv",))
    log.write({"loss": 0.5, "z": 1}, 10)
    path = tmp_path / "log" / "metrics.csv"
    path.write_text(path.read_text() + "0.25,")
    log = MetricsLog(tmp_path, ("csv",), rows=5, step=20)
    log.write({"loss": 0.125, "z": 2}, 30)
    assert [row["loss"] for row in logged(tmp_path)] == ["0.5", "0.125"]


@pytest.mark.parametrize(
    ("damage", "losses"),
    [
        (lambda data: data.replace(b"0.5", b"0\xff5"), ["0\ufffd5", "0.25", "0.125"]),
        (lambda data: data.replace(b",20", b",2\0"), ["0.5", "0.125"]),
        (lambda data: data.replace(b"0.25", b"1" * 200_000), ["0.5", "0.125"]),
        (lambda data: b"\xff\xfe" * 9, ["0.125"]),
    ],
)
def test_a_damaged_log_costs_only_what_cannot_be_read(tmp_path: Path, damage, losses):
    log = MetricsLog(tmp_path, ("csv",))
    for step, loss in ((10, 0.5), (20, 0.25)):
        log.write({"loss": loss}, step)
    path = tmp_path / "log" / "metrics.csv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"^the log .*metrics.csv is damaged: "):
        log = MetricsLog(tmp_path, ("csv",), rows=2, step=20)
    log.write({"loss": 0.125}, 30)
    assert [row["loss"] for row in logged(tmp_path)] == losses


def test_a_new_log_starts_empty(tmp_path: Path):
    MetricsLog(tmp_path, ("csv",)).write({"loss": 0.5}, 10)
    log = MetricsLog(tmp_path, ("csv",))
    log.write({"loss": 0.25}, 1)
    assert [row["step"] for row in logged(tmp_path)] == ["1"]


def test_a_log_that_was_off_before(tmp_path: Path):
    log = MetricsLog(tmp_path, ("csv",), rows=4, step=40)
    log.write({"loss": 0.5}, 50)
    assert [row["step"] for row in logged(tmp_path)] == ["50"]
    assert log.rows == 5


def test_tensorboard_opens_it_and_sees_no_step_twice(tmp_path: Path):
    log = MetricsLog(tmp_path, ("csv", "tensorboard"))
    for step in (10, 20, 30):
        log.write({"loss": step / 64}, step)
    log.close()
    for file in (tmp_path / "log" / "tensorboard").iterdir():  # as from a second long ago:
        older = re.sub(r"tfevents\.\d+", "tfevents.1000000000", file.name)
        file.rename(file.with_name(older))  # TensorBoard reads files in the order of their names
    again = MetricsLog(tmp_path, ("csv", "tensorboard"), rows=2, step=20)
    again.write({"loss": 0.25}, 30)
    again.write({"loss": 0.125}, 40)
    again.close()
    events = EventAccumulator(str(tmp_path / "log" / "tensorboard")).Reload()
    scalars = [(scalar.step, scalar.value) for scalar in events.Scalars("loss")]
    assert scalars == [(10, 10 / 64), (20, 20 / 64), (30, 0.25), (40, 0.125)]
    assert [row["step"] for row in logged(tmp_path)] == ["10", "20", "30", "40"]


def test_tensorboard_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from lightning_fabric.loggers import tensorboard

    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(tensorboard, name, False)
    message = (
        r"^log='tensorboard' needs the tensorboard package: pip install 'cello\[tensorboard\]'"
    )
    with pytest.raises(ArgumentError, match=message):
        MetricsLog(tmp_path, ("tensorboard",))


def test_no_log(tmp_path: Path):
    log = MetricsLog(tmp_path, ())
    log.write({"loss": 0.5}, 1)
    log.close()
    assert log.rows == 1
    assert list(tmp_path.iterdir()) == []
