import io
import time

import pytest

from cello.train import Event
from cello.train.report.progress import Progress

ROW = {
    "epoch": 1,
    "step": 4,
    "loss": 0.25,
    "validation_accuracy": 0.5,
    "validation_f1": 0.1,
    "seconds": 1.26,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def show(file: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with Progress(file) as progress:
        progress(Event("start", 0, 1, {"epochs": 2, "steps": 8, "monitor": "accuracy"}))
        for step in range(1, 5):
            now[0] += 0.5
            progress(Event("step", step, 1, {"loss": 2.0 / step, "elements": 500}))
            if progress._bar is not None:
                progress._bar.refresh()
        progress(Event("checkpoint", 4, 1))
        progress(Event("epoch", 4, 1, ROW))
        progress(Event("end", 4, 1))
    return file.getvalue()


def test_on_a_terminal_there_is_a_bar_with_loss_speed_and_time_left(monkeypatch):
    text = show(Terminal(), monkeypatch)
    assert "epoch 1/2" in text
    assert "loss 2.0000  1,000 elements/s" in text
    assert "loss 0.5000  1,000 elements/s" in text
    assert "50 %" in text
    assert "0:00:0" in text
    assert "left" in text
    assert "epoch 1/2  loss 0.2500  validation accuracy 0.5000  1.3 s" in text


def test_elsewhere_there_is_a_line_an_epoch(monkeypatch):
    text = show(io.StringIO(), monkeypatch)
    assert text == "epoch 1/2  loss 0.2500  validation accuracy 0.5000  1.3 s\n"


def test_many_steps_are_shown_rarely(monkeypatch):
    file = Terminal()
    shown = []
    with Progress(file) as progress:
        progress(Event("start", 0, 1, {"epochs": 1, "steps": 1000, "monitor": "accuracy"}))
        real = progress._bar.update
        monkeypatch.setattr(
            progress._bar, "update", lambda *a, **k: (shown.append(k), real(*a, **k))
        )
        now = time.perf_counter()
        monkeypatch.setattr(time, "perf_counter", lambda: now)
        for step in range(1, 1001):
            now += 0.001
            progress(Event("step", step, 1, {"loss": 1.0, "elements": 10}))
    assert 9 <= len(shown) <= 10  # one second of steps
    assert shown[-1]["numbers"] == "loss 1.0000  10,000 elements/s"


def test_the_bar_goes_away_when_training_fails():
    progress = Progress(Terminal())
    progress(Event("start", 0, 1, {"epochs": 1, "steps": 10, "monitor": "accuracy"}))
    assert progress._bar.live.is_started
    with pytest.raises(RuntimeError, match="boom"), progress:
        raise RuntimeError("boom")
    assert not progress._bar.live.is_started


def test_within_a_long_epoch_there_is_a_line_now_and_then(monkeypatch):
    now, file = [0.0], io.StringIO()
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with Progress(file) as progress:
        progress(Event("start", 0, 1, {"epochs": 2, "steps": 200, "monitor": "accuracy"}))
        for step in range(1, 101):
            now[0] += 0.7
            progress(Event("step", step, 1, {"loss": 0.5, "elements": 70}))
        now[0] += 10  # validation
        progress(Event("epoch", 100, 1, ROW))
        for step in range(101, 151):
            now[0] += 0.7
            progress(Event("step", step, 2, {"loss": 0.5, "elements": 70}))
    assert file.getvalue().splitlines() == [
        "epoch 1/2   43%  loss 0.5000  100 elements/s  0:00:40 left, 0:01:50 for all epochs",
        "epoch 1/2   86%  loss 0.5000  100 elements/s  0:00:10 left, 0:01:20 for all epochs",
        "epoch 1/2  loss 0.2500  validation accuracy 0.5000  1.3 s",
        "epoch 2/2   43%  loss 0.5000  100 elements/s  0:00:40 left, 0:00:44 for all epochs",
    ]


def test_a_run_that_goes_on_begins_within_its_epoch(monkeypatch):
    file = Terminal()
    with Progress(file) as progress:
        progress(Event("start", 7, 2, {"epochs": 2, "steps": 8, "monitor": "accuracy"}))
        (bar,) = progress._bar.tasks
        assert (bar.completed, bar.total, bar.fields["epoch"]) == (3, 4, 2)
        now = time.perf_counter()
        monkeypatch.setattr(time, "perf_counter", lambda: now + 1)
        progress(Event("step", 8, 2, {"loss": 0.5, "elements": 70}))
        assert bar.fields["left"] == "validating"
