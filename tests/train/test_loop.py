"""`fit` against the loop that one would write by hand, and everything that ends it."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert import load_model, read_config
from cello.errors import ArgumentError, ModelError, TrainingError
from cello.tasks.base import Loss
from cello.train import Event, Options, fit
from cello.train.saved import checkpoint
from cello.train.schedule import factor
from tests.train.fakes import FakeTask, make_net, weights

CPU = {"accelerator": "cpu", "log": ()}


def by_hand(task: FakeTask, net: nn.Module, options: Options) -> Tensor:
    """The weights after all epochs, by plain PyTorch."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.learning_rate, weight_decay=0.01)
    torch.manual_seed(options.seed)
    step, total = 0, options.epochs * task.number
    for epoch in range(options.epochs):
        state = None
        for batch in task.epoch(epoch):
            optimizer.param_groups[0]["lr"] = options.learning_rate * factor(step, options, total)
            loss = task.loss(net, batch, state)
            optimizer.zero_grad()
            (loss.total / batch.y.numel()).backward()
            if options.clip_norm is not None:
                nn.utils.clip_grad_norm_(net.parameters(), options.clip_norm)
            optimizer.step()
            state = loss.state
            step += 1
    return weights(net)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_the_weights_are_those_of_a_loop_by_hand(tmp_path: Path, carry: bool, clip_norm: Any):
    options = Options(
        epochs=3, clip_norm=clip_norm, schedule="cosine", warmup_steps=3, seed=5, **CPU
    )
    task, last = FakeTask(carry=carry), []

    def keep(event: Event) -> None:
        if event.kind == "step" and event.step == 12:
            last.append(weights(net))

    net = make_net().double()
    fit(task, net, options, tmp_path, progress=False, on_event=keep)
    expected = by_hand(task, make_net().double(), options)
    # Multiplying by 1 / weight and dividing by it round differently: a few times 2**-53.
    assert (last[0] - expected).abs().max() < 1e-14


def test_the_best_weights_are_kept_and_tested(tmp_path: Path):
    task = FakeTask()
    given = iter([0.25, 0.75, 0.5])
    seen: dict[int, Tensor] = {}

    def evaluate(net: nn.Module, split: str) -> dict[str, float]:
        if split == "test":
            assert torch.equal(weights(net), seen[2])
            return {"accuracy": 0.625}
        seen[len(seen) + 1] = weights(net)
        return {"accuracy": next(given)}

    task.evaluate = evaluate  # type: ignore[method-assign]
    net = make_net()
    result = fit(task, net, Options(epochs=3, **CPU), tmp_path, progress=False)
    assert (result.best_epoch, result.validation) == (2, {"accuracy": 0.75})
    assert result.test == {"accuracy": 0.625}
    assert (result.steps, result.stopped_early) == (12, False)
    assert torch.equal(weights(net), seen[2])
    assert not net.training
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert [row["step"] for row in result.history] == [4, 8, 12]
    assert [row["validation_accuracy"] for row in result.history] == [0.25, 0.75, 0.5]


@pytest.mark.parametrize(
    ("higher_is_better", "given", "epochs", "best"),
    [
        (True, [0.5, 0.6, 0.6, 0.55], 4, 3),  # as good is kept, but is no improvement
        (False, [0.5, 0.4, 0.45, 0.41], 4, 2),
        (True, [0.5, 0.4, 0.6, 0.5, 0.5], 5, 3),
        (True, [math.nan, 0.1, 0.05, math.nan], 4, 2),
    ],
)
def test_early_stopping(tmp_path: Path, higher_is_better, given, epochs, best):
    task, values = FakeTask(batches=1), iter(given)
    task.higher_is_better = higher_is_better
    task.splits = ("validation",)
    task.evaluate = lambda net, split: {"accuracy": next(values)}  # type: ignore[method-assign]
    result = fit(task, make_net(), Options(epochs=9, patience=2, **CPU), tmp_path, progress=False)
    assert (len(result.history), result.best_epoch, result.stopped_early) == (epochs, best, True)


def test_without_validation_data_the_last_epoch_is_the_best(tmp_path: Path):
    task = FakeTask(batches=1)
    task.splits = ()
    result = fit(task, make_net(), Options(epochs=3, patience=1, **CPU), tmp_path, progress=False)
    assert (result.best_epoch, result.validation, result.test) == (3, {}, {})
    assert not result.stopped_early


def test_the_loss_of_an_epoch_is_the_mean_over_its_elements(tmp_path: Path):
    task, losses = FakeTask(batches=3), []
    real = task.loss

    def loss(net: nn.Module, batch: Any, state: Any = None) -> Loss:
        losses.append(real(net, batch, state))
        return losses[-1]

    task.loss = loss  # type: ignore[method-assign]
    result = fit(task, make_net(), Options(epochs=1, **CPU), tmp_path, progress=False)
    expected = sum(loss.total.item() for loss in losses) / sum(loss.count for loss in losses)
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-12)


def test_the_seed_is_that_of_dropout(tmp_path: Path):
    trained = []
    for place, seed in enumerate([1, 1, 2]):
        net = make_net()
        options = Options(epochs=1, seed=seed, **CPU)
        fit(FakeTask(), net, options, tmp_path / str(place), progress=False)
        trained.append(weights(net))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def test_random_numbers_of_the_caller_go_on_as_if_nothing_had_been_trained(tmp_path: Path):
    def draw() -> list[float]:
        return [torch.rand(1).item(), float(np.random.rand()), random.random()]

    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = draw()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    net = make_net()
    torch.manual_seed(3)
    fit(FakeTask(batches=1), net, Options(epochs=1, **CPU), tmp_path, progress=False)
    assert draw() == expected


def test_events(tmp_path: Path):
    events: list[Event] = []
    options = Options(epochs=2, checkpoint_steps=3, **CPU)
    fit(FakeTask(), make_net(), options, tmp_path, progress=False, on_event=events.append)
    assert events[0] == Event(
        "start", 0, 1, {"epochs": 2, "steps": 8, "monitor": "accuracy", "higher_is_better": True}
    )
    steps = [(event.step, event.epoch) for event in events if event.kind == "step"]
    assert steps == [(step, 1 + (step > 4)) for step in range(1, 9)]
    assert all(event.values["elements"] == 24 for event in events if event.kind == "step")
    epochs = [(event.step, event.epoch) for event in events if event.kind == "epoch"]
    assert epochs == [(4, 1), (8, 2)]
    # At the start, after every third step since the last one, and after each epoch.
    saved = [event.step for event in events if event.kind == "checkpoint"]
    assert saved == [0, 3, 4, 7, 8]
    assert events[-1].kind == "end"
    assert set(events[-1].values) == {"accuracy"}


def test_a_checkpoint_after_so_many_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    saved = []
    options = Options(epochs=1, checkpoint_seconds=8, **CPU)
    fit(
        FakeTask(batches=12), make_net(), options, tmp_path, progress=False,
        on_event=lambda event: saved.append(event.step) if event.kind == "checkpoint" else None,
    )  # fmt: skip
    assert saved[0] == 0
    assert len(saved) >= 3
    assert saved[-1] == 12


def spoilt(task: FakeTask, at: int, how: str) -> FakeTask:
    """A task whose loss goes wrong in batch number `at`."""
    real, calls = task.loss, iter(range(1, 10**6))

    def loss(net: nn.Module, batch: Any, state: Any = None) -> Loss:
        result = real(net, batch, state)
        if next(calls) != at:
            return result
        if how == "gradient":  # 0 ** 0.5 is 0, but its derivative is infinite
            zero = next(net.parameters()).sum() * 0
            return result._replace(total=result.total + zero**0.5)
        return result._replace(total=result.total * float(how))

    task.loss = loss  # type: ignore[method-assign]
    return task


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("nan", "the loss is nan"),
        ("inf", "the loss is inf"),
        ("gradient", "the norm of the gradients is nan"),
    ],
)
def test_what_is_not_finite_stops_before_it_reaches_the_weights(tmp_path: Path, how, what):
    net, options = make_net(), Options(epochs=2, checkpoint_steps=2, **CPU)
    message = (
        rf"^{what} at step 6 \(epoch 2\); try a lower learning rate \(now 0.005\) or clip gradients"
        r" to a lower norm \(now 1.0\); the last checkpoint, of step 4, is untouched$"
    )
    with pytest.raises(TrainingError, match=message):
        fit(spoilt(FakeTask(), 6, how), net, options, tmp_path, progress=False)
    assert weights(net).isfinite().all()

    whole = make_net()
    fit(FakeTask(), whole, options, tmp_path / "whole", progress=False)
    again = make_net(seed=1)
    fit(FakeTask(), again, options, tmp_path, resume=True, progress=False)
    assert torch.equal(weights(again), weights(whole))


def test_a_full_disk_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options = Options(epochs=2, checkpoint_steps=2, **CPU)
    real, count = checkpoint.write, iter(range(10**6))

    def write(path: Path, data: bytes) -> None:
        if next(count) >= 7:  # in the third checkpoint, after its first file
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(checkpoint, "write", write)
    message = (
        r"^cannot write the checkpoint of step 4: .*No space left on device; the checkpoint of "
        r"step 2 is whole: resume from it when this is mended$"
    )
    with pytest.raises(TrainingError, match=message):
        fit(FakeTask(), make_net(), options, tmp_path / "a", progress=False)
    monkeypatch.undo()

    again, whole = make_net(seed=1), make_net()
    fit(FakeTask(), again, options, tmp_path / "a", resume=True, progress=False)
    fit(FakeTask(), whole, options, tmp_path / "b", progress=False)
    assert torch.equal(weights(again), weights(whole))


def test_the_model_in_the_folder_is_the_best(tmp_path: Path):
    task, given = FakeTask(), iter([0.25, 0.75, 0.5])
    task.splits = ("validation",)
    task.evaluate = lambda net, split: {"accuracy": next(given)}  # type: ignore[method-assign]
    seen = []

    def look(event: Event) -> None:
        if event.kind == "epoch":
            seen.append(weights(load_model(tmp_path)))

    net = make_net()
    fit(task, net, Options(epochs=3, **CPU), tmp_path, progress=False, on_event=look)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], weights(net))
    assert read_config(tmp_path)["task"] == task.config()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["README.md", "checkpoint", "config.json", "curves.svg", "weights.safetensors"]


def test_a_network_that_cannot_be_saved_fails_before_it_is_trained(tmp_path: Path):
    class Own(nn.Module):
        pass

    with pytest.raises(ModelError, match="which cannot be saved"):
        fit(FakeTask(), cello.Stack(Own()), Options(**CPU), tmp_path / "model", progress=False)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("what", ["log", "model"])
def test_what_else_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str):
    if what == "model":
        (tmp_path / "config.json").mkdir()  # where a file should go
    else:
        (tmp_path / "log").write_text("")  # where a folder should be
    message = {  # the log is opened before the first checkpoint is written
        "log": r"^cannot write the log of step 0: \[Errno \d+\] [^;]*$",
        "model": r"^cannot write the model of step 4: .*; the checkpoint of step 0 is whole: "
        r"resume from it when this is mended$",
    }[what]
    options = Options(epochs=1, accelerator="cpu", log="csv")
    with pytest.raises(TrainingError, match=message):
        fit(FakeTask(), make_net(), options, tmp_path, progress=False)


def test_nothing_is_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    fit(FakeTask(batches=1), make_net(), Options(epochs=1, **CPU), tmp_path, progress=False)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path):
    options = Options(epochs=1, **CPU)
    fit(FakeTask(batches=1), make_net(), options, tmp_path, progress=False)
    message = r"holds a run already: resume=True \(--resume\) continues it"
    with pytest.raises(ArgumentError, match=message):
        fit(FakeTask(batches=1), make_net(), options, tmp_path, progress=False)


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ArgumentError, match=r"^folder must be a folder, but .*model is a file$"):
        fit(FakeTask(), make_net(), Options(**CPU), tmp_path / "model")


def test_no_training_data(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"^task 'fake' has no training data"):
        fit(FakeTask(batches=0), make_net(), Options(**CPU), tmp_path, progress=False)


def test_a_monitor_that_is_not_among_the_metrics(tmp_path: Path):
    task = FakeTask(batches=1)
    task.monitor = "f1"
    message = (
        r"^task.monitor is 'f1', which task.evaluate\('validation'\) does not give; .*accuracy"
    )
    with pytest.raises(ArgumentError, match=message):
        fit(task, make_net(), Options(**CPU), tmp_path, progress=False)


def test_the_checkpoint_says_what_it_was_made_with(tmp_path: Path):
    fit(FakeTask(batches=1), make_net(), Options(epochs=1, **CPU), tmp_path, progress=False)
    (newest,) = (tmp_path / "checkpoint").glob("*-step-1")
    state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    assert state["identity"]["task"] == {"name": "fake", "symbols": 5, "carry": False}
    assert state["identity"]["option"]["learning_rate"] == 0.005
