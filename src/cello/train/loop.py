"""`fit`: the training loop, from a folder to a result."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from cello.errors import ArgumentError, ModelError
from cello.tasks.base import Task
from cello.train.options import Options
from cello.train.report.events import Listener
from cello.train.saved import checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Result", "check_folder", "fit"]


class Result(NamedTuple):
    """The result of training.

    `history` has a row for each epoch; `validation` and `test` are the metrics of epoch
    `best_epoch`, whose weights are kept. `seconds` is the working time of this run and of those
    that it resumed; in a row of `history` it is that of the epoch, training and validation.
    """

    folder: Path
    history: list[dict[str, float]]
    best_epoch: int
    validation: dict[str, float]
    test: dict[str, float]
    steps: int
    seconds: float
    stopped_early: bool


def fit(
    task: Task,
    net: nn.Module,
    options: Options,
    folder: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    on_event: Listener | None = None,
    origin: str | None = None,
) -> Result:
    """Train `net` on `task`, and keep the best model in `folder`.

    Each step takes one batch of `task.epoch`: the loss is the mean over the elements of the global
    batch, gradients are clipped, AdamW steps, and the state that `task.loss` returns is carried to
    the next batch of the epoch, cut from the graph (truncated backpropagation through time).
    After each epoch `task.evaluate` judges the network on validation data; at the end `net` holds
    the best weights, which are judged on test data.

    `folder` gets the best model so far, `log/` (metrics.csv, tensorboard/), `README.md`, which says
    what the model is and names `origin` as the command that made it, `curves.svg`, a picture of the
    loss and the validation metric, and `checkpoint/`. One run at a time can be at work
    there. With `resume=True` training goes on from the newest checkpoint there, to the same
    weights, bit for bit on a CPU, as if it had never stopped, with the same training and validation
    data; `options` may then differ in what does not change the steps (more epochs, patience, how
    often to save and log; a schedule that ends with the last epoch makes more epochs another run,
    and a warning says so). If the run is finished, nothing is trained and its result is returned
    again. The model is written again if it is missing. `on_event` is called with each
    `cello.train.Event`, `progress` shows them; both in the first process only. (Strategies that
    fork or spawn, as in notebooks, train copies of `net`: load the model from the folder then.)

    Raises:
        ArgumentError: the options make no sense, another run is at work in the folder, it already
            holds a run and `resume` is False, or `resume` is True and something that changes the
            result differs.
        ModelError: `resume` is True and there is no checkpoint that is whole.
        TrainingError: the loss is not finite, or a checkpoint cannot be written.
        TrainingInterrupted: Ctrl-C, SIGTERM or a closed terminal; a checkpoint has been written.

    >>> import tempfile, cello
    >>> from cello.tasks.characters import Characters, Document
    >>> text = Document("clock.txt", "tick tack " * 50)
    >>> task = Characters.from_documents([text], batch_size=4, tbptt_steps=10)
    >>> encoder = task.features.encoder()
    >>> net = cello.Stack(
    ...     encoder,
    ...     cello.Recurrent(cello.ElmanCell(encoder.output_size, 16)),
    ...     nn.Linear(16, task.output_size),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = fit(task, net, Options(epochs=5), folder, progress=False)
    ...     again = fit(task, net, Options(epochs=6), folder, resume=True, progress=False)
    >>> len(result.history), len(again.history), result.test["bits_per_character"] < 1
    (5, 6, True)
    """
    from cello.train.fabric import is_first_process, make_fabric, quiet  # Lightning loads here
    from cello.train.saved.lock import locked

    folder = Path(folder)
    check_folder(folder, resume)
    with ExitStack() as stack:
        stack.enter_context(quiet())
        fabric = make_fabric(options)
        if is_first_process():
            stack.enter_context(locked(folder))
            _check_run(folder, resume)  # another run may just have ended
        run: Any = partial(
            _run, task, options, folder, resume=resume, progress=progress,
            on_event=on_event, origin=origin,
        )  # fmt: skip
        return fabric.launch(run, net)


def check_folder(folder: Path, resume: bool) -> None:
    """Check that a run can begin, or be resumed, in `folder`.

    Raises:
        ArgumentError: it is a file, another run is at work there, or it holds a run already and
            `resume` is False.
        ModelError: it holds no run and `resume` is True.
    """
    from cello.train.fabric import is_first_process
    from cello.train.saved.lock import check_free

    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"must be a folder, but {folder} is a file", argument="folder")
    if is_first_process():  # the others work for it
        check_free(folder)
    _check_run(folder, resume)


def _check_run(folder: Path, resume: bool) -> None:
    found = checkpoint.exists(folder / "checkpoint")
    if found and not resume:
        raise ArgumentError(
            f"folder {folder} holds a run already: resume=True (--resume) continues it; "
            "for a new one, remove it or choose another folder"
        )
    if resume and not found:
        raise ModelError(
            f"no checkpoint in {folder / 'checkpoint'}: there is no run to resume; train without "
            "resume first"
        )


def _run(
    task: Task,
    options: Options,
    folder: Path,
    fabric: Fabric,
    net: nn.Module,
    *,
    resume: bool,
    progress: bool,
    on_event: Listener | None,
    origin: str | None,
) -> Result:
    """What each process does."""
    from cello.train.report.progress import Progress
    from cello.train.saved import rng
    from cello.train.training_run import TrainingRun

    listeners: list[Listener] = []
    with ExitStack() as stack:
        if fabric.is_global_zero:
            if progress:
                listeners.append(stack.enter_context(Progress()))
            if on_event is not None:
                listeners.append(on_event)
        # The caller's random numbers go on afterwards as if nothing had been trained.
        stack.callback(rng.restore, rng.capture(fabric.device), fabric.device)
        run = TrainingRun(fabric, task, net, options, folder, listeners, origin)
        stack.enter_context(run.signals)
        if resume:
            run.resume()
        else:
            run.start()
        run.train()
        test = run.test()
    state = run.state
    assert state.best is not None  # there is at least one epoch
    return Result(
        folder=folder,
        history=state.history,
        best_epoch=state.best.epoch,
        validation=state.best.metrics,
        test=test,
        steps=state.step,
        seconds=state.seconds,
        stopped_early=state.epoch < options.epochs,
    )
