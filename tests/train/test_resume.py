"""A run that was stopped and resumed gives, bit for bit, the weights of one that was not."""

import signal
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cello.convert import load_model
from cello.errors import ArgumentError, ModelError
from cello.train import Event, Options, TrainingInterrupted, fit
from tests.train.fakes import FakeTask, logged, make_net, run_python, weights

LAST = 12  # 3 epochs of 4 steps


def options(**changed: object) -> Options:
    given = {"epochs": 3, "schedule": "cosine", "accelerator": "cpu", "log_every": 2, "seed": 3}
    return Options(**{**given, **changed})


class Stop:
    """Send a signal to this process after step number `step`."""

    def __init__(self, step: int, number: int = signal.SIGINT):
        self.step, self.number = step, number
        self.last: Tensor | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "step" and event.step == self.step:
            signal.raise_signal(self.number)


@pytest.fixture(autouse=True)
def usual_handlers(ctrl_c: None):
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def train(folder: Path, *, carry: bool = True, net_seed: int = 0, stop=None, **kwargs):
    """The weights at the end of the last epoch, the best weights, and the result."""
    last = []

    def watch(event: Event) -> None:
        if event.kind == "step" and event.step == LAST:
            last.append(weights(net))
        if stop is not None:
            stop(event)

    net = make_net(net_seed)
    resume = kwargs.pop("resume", False)
    result = fit(
        FakeTask(carry=carry), net, options(**kwargs), folder,
        resume=resume, progress=False, on_event=watch,
    )  # fmt: skip
    return last[0] if last else None, weights(net), result


@pytest.fixture(scope="module", params=[False, True], ids=["stateless", "carried"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    return request.param, train(folder, carry=request.param), folder


def rows(folder: Path) -> list[dict[str, str]]:
    found = logged(folder)
    for row in found:
        del row["elements_per_second"]
    return found


def numbers(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: row[name] for name in row if name != "seconds"} for row in history]


@pytest.mark.parametrize("step", [1, 2, 4, 5, 7, 11, 12])
def test_ctrl_c_at_any_step(tmp_path: Path, whole, step: int):
    carry, (last, best, result), folder = whole
    with pytest.raises(TrainingInterrupted) as caught:
        train(tmp_path, carry=carry, stop=Stop(step))
    assert caught.value.step == step
    # The network starts from other weights: those of the checkpoint count.
    again, again_best, again_result = train(tmp_path, carry=carry, net_seed=9, resume=True)
    assert again is None if step == LAST else torch.equal(again, last)
    assert torch.equal(again_best, best)
    assert numbers(again_result.history) == numbers(result.history)
    assert again_result.test == result.test
    assert rows(tmp_path) == rows(folder)


def test_stopped_again_and_again(tmp_path: Path, whole):
    carry, (last, best, _), folder = whole
    for step in (2, 3, 6, 9, 10):
        with pytest.raises(TrainingInterrupted):
            train(tmp_path, carry=carry, resume=step > 2, stop=Stop(step))
    again, again_best, _ = train(tmp_path, carry=carry, resume=True)
    assert torch.equal(again, last)
    assert torch.equal(again_best, best)
    assert rows(tmp_path) == rows(folder)


def test_the_seconds_of_a_row_are_those_of_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Neither of what came before, nor of the checkpoints after it; also of an interrupted one."""
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    options = Options(epochs=3, accelerator="cpu", log=(), checkpoint_seconds=None)

    def work(event: Event) -> None:
        nonlocal now
        now += {"start": 1000, "step": 1, "checkpoint": 100}.get(event.kind, 0)
        if event.kind == "step" and event.step == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        fit(FakeTask(), make_net(), options, tmp_path, progress=False, on_event=work)
    result = fit(
        FakeTask(), make_net(), options, tmp_path, resume=True, progress=False, on_event=work
    )
    assert [row["seconds"] for row in result.history] == [4, 4, 4]
    assert result.seconds > 1000


SIGNALS = [
    (getattr(signal, name), code)
    for name, code in (("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129))
    if hasattr(signal, name)
]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_what_is_raised(tmp_path: Path, number: int, code: int, ctrl_c: None):
    with pytest.raises(TrainingInterrupted) as caught:
        train(tmp_path, stop=Stop(5, number))
    assert caught.value.exit_code == code
    assert str(caught.value) == (
        f"stopped at step 5 (epoch 2); the checkpoint in {tmp_path / 'checkpoint'} is complete: "
        "resume=True (--resume) goes on from it"
    )
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("split", ["validation", "test"])
def test_ctrl_c_while_evaluating(tmp_path: Path, whole, split: str):
    carry, (last, best, result), folder = whole
    task = FakeTask(carry=carry)
    real = task.evaluate

    def evaluate(net, asked):
        torch.rand(7)
        if asked == split:
            signal.raise_signal(signal.SIGINT)
            pytest.fail("evaluating went on")
        return real(net, asked)

    task.evaluate = evaluate  # type: ignore[method-assign]
    with pytest.raises(TrainingInterrupted) as caught:
        fit(task, make_net(), options(), tmp_path, progress=False)
    assert caught.value.step == (4 if split == "validation" else 12)
    again, again_best, again_result = train(tmp_path, carry=carry, net_seed=9, resume=True)
    if split == "validation":
        assert torch.equal(again, last)
    assert torch.equal(again_best, best)
    assert again_result.test == result.test
    assert rows(tmp_path) == rows(folder)


def test_the_second_ctrl_c_does_not_wait(tmp_path: Path):
    task = FakeTask()

    def loss(net, batch, state=None):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the step went on")

    task.loss = loss  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(task, make_net(), options(), tmp_path, progress=False)
    assert not isinstance(caught.value, TrainingInterrupted)


# A process that is killed, or told to end, after step 8. Checkpoints: steps 0, 3, 4, 7, (8).
# What it prints is compared too: nothing of Fabric's own.
ENDED = """
import os, signal, sys
from tests.train.fakes import FakeTask, make_net
from cello.train import Options, TrainingInterrupted, fit

folder, number = sys.argv[1], int(sys.argv[2])
options = Options(
    epochs=3, schedule="cosine", accelerator="cpu", log_every=2, seed=3, checkpoint_steps=3
)

def end(event):
    if event.kind == "step" and event.step == 8:
        os.kill(os.getpid(), number)

try:
    fit(FakeTask(carry=True), make_net(), options, folder, on_event=end)
except TrainingInterrupted as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "step"), [(9, -9, 7), (signal.SIGTERM, 143, 8)], ids=["kill", "term"]
)
def test_a_process_that_is_ended(tmp_path: Path, number: int, code: int, step: int):
    ended = run_python(ENDED, str(tmp_path / "parts"), str(int(number)), check=False)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("epoch 1/3  loss ")  # no terminal: a line after each epoch
    assert len(lines) == (1 if number == 9 else 2)
    newest = max((tmp_path / "parts" / "checkpoint").glob("0*"))
    assert newest.name.endswith(f"-step-{step}")
    again, again_best, _ = train(tmp_path / "parts", net_seed=9, resume=True)
    last, best, _ = train(tmp_path / "whole")
    assert torch.equal(again, last)
    assert torch.equal(again_best, best)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_a_damaged_checkpoint_costs_only_steps(tmp_path: Path, whole):
    carry, (last, best, _), folder = whole
    with pytest.raises(TrainingInterrupted):
        train(tmp_path, carry=carry, stop=Stop(6))
    newest = max((tmp_path / "checkpoint").glob("0*"))
    data = newest / "tensors.safetensors"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"going on from the one before it, 0+2-step-4"):
        again, again_best, _ = train(tmp_path, carry=carry, resume=True)
    assert torch.equal(again, last)
    assert torch.equal(again_best, best)
    assert rows(tmp_path) == rows(folder)


def test_a_finished_run_can_be_resumed(tmp_path: Path, whole):
    carry, (_, best, result), folder = whole
    train(tmp_path, carry=carry)
    _, again_best, again_result = train(tmp_path, carry=carry, net_seed=9, resume=True)
    assert torch.equal(again_best, best)
    assert (again_result.test, again_result.steps) == (result.test, result.steps)
    assert rows(tmp_path) == rows(folder)


def test_more_epochs(tmp_path: Path):
    train(tmp_path / "a", schedule="constant", epochs=2)
    again, _, _ = train(tmp_path / "a", schedule="constant", epochs=3, resume=True)
    whole, _, _ = train(tmp_path / "b", schedule="constant", epochs=3)
    assert torch.equal(again, whole)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_more_epochs_under_a_schedule_that_ends(tmp_path: Path, schedule: str):
    train(tmp_path, schedule=schedule, epochs=2)
    message = rf"^the {schedule} schedule was made for 2 epochs and is now for 3: "
    with pytest.warns(UserWarning, match=message):
        train(tmp_path, schedule=schedule, epochs=3, resume=True)
    train(tmp_path, schedule=schedule, epochs=3, resume=True)  # as before: nothing to say


def test_more_epochs_before_the_first_step_are_another_run(tmp_path: Path):
    def stop(event: Event) -> None:
        if event.kind == "checkpoint":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(tmp_path / "a", epochs=2, stop=stop)
    again, _, _ = train(tmp_path / "a", epochs=3, resume=True)
    whole, _, _ = train(tmp_path / "b", epochs=3)
    assert torch.equal(again, whole)


def test_fewer_epochs_than_are_done(tmp_path: Path):
    train(tmp_path)
    with pytest.raises(ArgumentError, match="epochs must be at least 3, for so many are done"):
        train(tmp_path, epochs=2, resume=True)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"seed": 4}, "option seed is 4, but the checkpoint was made with 3"),
        ({"learning_rate": 0.1}, "option learning_rate is 0.1, .* made with 0.005"),
        ({"clip_norm": None}, "option clip_norm is None, .* made with 1.0"),
        ({"carry": False}, "task carry is False, but the checkpoint was made with True"),
    ],
)
def test_what_differs_is_said(tmp_path: Path, changed: dict, what: str):
    train(tmp_path, epochs=1)
    with pytest.raises(ArgumentError, match=rf"^cannot resume from .*: {what}"):
        train(tmp_path, resume=True, **changed)


def test_other_data(tmp_path: Path):
    train(tmp_path, epochs=1)
    for task, what in [
        (
            FakeTask(carry=True, seed=1),
            "the training data are not those that the checkpoint was made with",
        ),
        (FakeTask(carry=True, batches=5), "training data batches is 5, .* made with 4"),
    ]:
        with pytest.raises(ArgumentError, match=rf"^cannot resume from .*: {what}"):
            fit(task, make_net(), options(), tmp_path, resume=True, progress=False)


class Shown(FakeTask):
    """A task that shows its data, of which only the training data make its batches."""

    def __init__(self, train: int = 1, validation: int = 2, test: int = 3):
        super().__init__(carry=True)
        self.shown = {"train": train, "validation": validation, "test": test}

    def data(self, split: str):
        return [torch.tensor([self.shown[split]])]


def test_every_piece_of_data_is_compared(tmp_path: Path):
    def again(task: Shown):
        return fit(task, make_net(), options(epochs=1), tmp_path, resume=True, progress=False)

    fit(Shown(), make_net(), options(epochs=1), tmp_path, progress=False)
    again(Shown())
    for task, split in [(Shown(train=4), "training"), (Shown(validation=4), "validation")]:
        message = (
            rf"^cannot resume from .*: the {split} data are not those that the checkpoint was made "
            r"with \(hash \w{16}, not \w{16}\); resume with the same, or train in another folder$"
        )
        with pytest.raises(ArgumentError, match=message):
            again(task)
    with pytest.warns(UserWarning, match=r"^the test data are not those that this run began with"):
        again(Shown(test=4))


@pytest.mark.parametrize("gone", [["config.json"], ["weights.safetensors"], []])
def test_the_model_is_written_back(tmp_path: Path, gone: list[str]):
    with pytest.raises(TrainingInterrupted):
        train(tmp_path, stop=Stop(9))
    before = weights(load_model(tmp_path))
    for name in gone:
        (tmp_path / name).unlink()
    if not gone:
        (tmp_path / "weights.safetensors").write_bytes(b"damaged")

    def look(event: Event) -> None:
        if event.kind == "step" and event.step == 10:
            assert torch.equal(weights(load_model(tmp_path)), before)

    last, best, _ = train(tmp_path, net_seed=9, resume=True, stop=look)
    whole_last, whole_best, _ = train(tmp_path / "whole")
    assert torch.equal(last, whole_last)
    assert torch.equal(best, whole_best)


def test_another_network(tmp_path: Path):
    train(tmp_path, epochs=1)
    for net, message in [
        (make_net().double(), r"weights 0.weight is 'torch.float64 \(5, 4\)', .* 'torch.float32 "),
        (make_net(dropout=0.4), r"network modules 2 p is 0.4, but .* made with 0.3;"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            fit(FakeTask(carry=True), net, options(), tmp_path, resume=True, progress=False)


def test_nothing_to_resume(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"^no checkpoint in .*: there is no run to resume; train "
    ):
        train(tmp_path / "model", resume=True)
    assert not (tmp_path / "model").exists()
