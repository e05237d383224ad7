"""One run of training: its steps and epochs."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from torch import nn

from cello.cells.contract.state import detach
from cello.convert import model_files, net_to_spec
from cello.errors import ArgumentError, CelloError, ModelError, TrainingError
from cello.tasks.base import Batch, Task
from cello.train.options import Options
from cello.train.processes import gather, highest, mean
from cello.train.report.card import card
from cello.train.report.events import Event, Listener
from cello.train.saved import checkpoint, rng
from cello.train.saved.files import Files
from cello.train.saved.identity import check_same, content, training_data, weights_of
from cello.train.saved.run_state import Mean, RankState, RunState
from cello.train.schedule import make_schedule
from cello.train.signals import Signals, TrainingInterrupted

__all__ = ["TrainingRun"]

#: Several processes agree once in so many steps on whether to save or to stop.
STEPS_BETWEEN_AGREEMENTS = 10
GO_ON, SAVE, STOP = range(3)


class TrainingRun:
    """Training `net` on `task` in `folder`, from the start or from the newest checkpoint."""

    def __init__(
        self,
        fabric: Fabric,
        task: Task,
        net: nn.Module,
        options: Options,
        folder: Path,
        listeners: list[Listener],
        origin: str | None = None,
    ) -> None:
        self.fabric, self.task, self.net = fabric, task, net
        self.options, self.folder, self.listeners = options, folder, listeners
        self.origin = origin
        told = task.config()
        model_files(net, told)  # what cannot be saved fails now
        optimizer = torch.optim.AdamW(
            net.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.model, self.optimizer = fabric.setup(net, optimizer)
        self.state, self.mine = RunState(), RankState()
        self.signals = Signals()
        first = self.batches(0)
        if not len(first):
            raise ArgumentError(f"task {task.name!r} has no training data: epoch 0 has no batches")
        self.total_steps = options.epochs * len(first)
        identity = {
            "number of processes": fabric.world_size,
            "device": fabric.device.type,
            "option": options.fixed(),
            "task": {"name": task.name, **{k: v for k, v in told.items() if k != "columns"}},
            "network": net_to_spec(net),
            "weights": weights_of(net),
            "training data": training_data(task, first),
            "validation data": {"content": content(task, "validation")},
        }
        self.identity = fabric.broadcast(identity)  # each process has rows of its own
        self.free = {"epochs": options.epochs, "test data": content(task, "test")}

    # ------------------------------------------------------------ from start to end

    def start(self) -> None:
        """Begin a new run: seed, and write a checkpoint of step 0, so that there always is one."""
        rng.seed_all(self.options.seed + self.fabric.global_rank)
        self._begin()
        self.save()

    def resume(self) -> None:
        """Go on from the newest checkpoint."""
        where = self.folder / "checkpoint"
        tree: Any = checkpoint.load(where) if self.fabric.is_global_zero else None
        tree = self.fabric.broadcast(tree)
        try:
            check_same(tree["identity"], self.identity, str(where))
            self.state = RunState.from_tree(tree["state"])
            if self.options.epochs < self.state.epoch:
                raise ArgumentError(
                    f"must be at least {self.state.epoch}, for so many are done, got "
                    f"{self.options.epochs}",
                    argument="epochs",
                )
            self.warn_of_changes(tree["free"])
            if self.state.best is not None:  # they fit, or the file is damaged
                self.net.load_state_dict(self.state.best.weights)
            self.net.load_state_dict(tree["net"])
            self.optimizer.load_state_dict(tree["optimizer"])
            self.fabric.strategy.precision.load_state_dict(tree["precision"])
            mine = tree["ranks"][self.fabric.global_rank]
            self.mine = RankState.from_tree(mine)
            self.mine.carried = self.fabric.to_device(self.mine.carried)
        except (CelloError, UserWarning):
            raise
        except Exception as error:  # what is in it is not what `save` writes
            raise ModelError(f"the checkpoint in {where} is damaged: {error!r}") from error
        self._begin()
        if self.state.best is not None and self.fabric.is_global_zero:
            # The model in the folder may be missing or damaged.
            self.net.load_state_dict(self.state.best.weights)
            self.files.model(self.net, self.task.config(), self.state.step)
            self.net.load_state_dict(tree["net"])
        rng.restore(mine["generators"], self.fabric.device)

    def warn_of_changes(self, before: dict[str, Any]) -> None:
        """Warn of what a resumed run may change, where that changes its result."""
        if not self.fabric.is_global_zero:
            return
        epochs, schedule, state = self.options.epochs, self.options.schedule, self.state
        goes_on = state.step > 0 and state.epoch < epochs
        if goes_on and schedule != "constant" and epochs != before["epochs"]:
            warnings.warn(
                f"the {schedule} schedule was made for {before['epochs']} epochs and is now for "
                f"{epochs}: from here on the learning rate is that of {epochs} epochs, so the "
                f"result is not that of an uninterrupted run of {epochs}",
                stacklevel=2,
            )
        old, new = before["test data"], self.free["test data"]
        if old is not None and new is not None and old != new:
            warnings.warn(
                "the test data are not those that this run began with: its test metrics are of "
                "the new ones",
                stacklevel=2,
            )

    def _begin(self) -> None:
        options, state = self.options, self.state
        optimizer = self.optimizer.optimizer
        self.schedule = make_schedule(optimizer, options, state.step, self.total_steps)
        self.started = time.perf_counter() - state.seconds
        self.files = Files(self.folder, options, rows=state.rows, step=state.step)
        total = {"epochs": options.epochs, "steps": self.total_steps}
        told = {"monitor": self.task.monitor, "higher_is_better": self.task.higher_is_better}
        self._tell("start", **total, **told)

    def train(self) -> None:
        """All epochs that are left."""
        while self.state.epoch < self.options.epochs and not self.out_of_patience:
            self.train_epoch()
            self.end_epoch()

    @property
    def epoch(self) -> int:
        """The number of the current epoch, counted from 1; at the end, of the last one."""
        return min(self.state.epoch + 1, max(self.options.epochs, self.state.epoch))

    @property
    def seconds(self) -> float:
        """The working time of this run and of those that it resumes."""
        return time.perf_counter() - self.started

    @property
    def out_of_patience(self) -> bool:
        """Whether too many epochs have passed since the best one."""
        patience = self.options.patience
        return patience is not None and self.state.waited >= patience

    def train_epoch(self) -> None:
        """The batches of this epoch that are left."""
        state, batches = self.state, self.batches(self.state.epoch)
        before = state.seconds - state.epoch_began if state.batch else 0.0  # of one that goes on
        state.epoch_began = self.seconds - before
        self.model.train()
        self.row_started, self.row_elements = time.perf_counter(), 0
        while state.batch < len(batches):
            self.step(batches[state.batch])
            wish = self.agree()
            if wish == SAVE:
                self.save()
            elif wish == STOP:
                self.stop()

    def step(self, batch: Batch) -> None:
        """One optimizer step."""
        state, mine, fabric = self.state, self.mine, self.fabric
        loss = self.task.loss(self.model, batch.to(fabric.device), mine.carried)
        # The gradient of the mean over the global batch: Fabric averages over the processes.
        fabric.backward(loss.total * (fabric.world_size / batch.weight))
        norm = fabric.clip_gradients(
            self.model,
            self.optimizer,
            max_norm=self.options.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        total = loss.total.item()
        self.check_finite(total, norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()

        mine.carried = detach(loss.state)
        mine.epoch_loss.add(total, loss.count)
        mine.row_loss.add(total, loss.count)
        self.row_elements += batch.weight
        state.step += 1
        state.batch += 1
        if state.step % self.options.log_every == 0:
            self.log_row(norm)
        self._tell("step", loss=total / max(1, loss.count), elements=batch.weight)

    def end_epoch(self) -> None:
        """Judge the network, keep it if it is the best so far, and save."""
        state = self.state
        metrics = self.evaluate("validation")
        loss, self.mine.epoch_loss = mean(self.fabric, self.mine.epoch_loss), Mean()
        self.mine.carried = None
        state.epoch, state.batch = state.epoch + 1, 0
        validation = {f"validation_{name}": value for name, value in metrics.items()}
        self.files.log({"epoch": state.epoch, "epoch_loss": loss, **validation}, state.step)
        row = {"epoch": state.epoch, "step": state.step, "loss": loss, **validation}
        state.history.append({**row, "seconds": self.seconds - state.epoch_began})
        best = state.judge(self.net, metrics, self.task.monitor, self.task.higher_is_better)
        if best and self.fabric.is_global_zero:
            self.files.model(self.net, self.task.config(), state.step)
        self.save()
        if self.fabric.is_global_zero and state.best is not None:
            self.files.picture(state.history, self.task.monitor, state.best.epoch)
            if best:
                self.card({})
        self._tell("epoch", **state.history[-1])

    def test(self) -> dict[str, float]:
        """Put the best weights into the network and judge it on test data."""
        best = self.state.best
        assert best is not None  # there is at least one epoch
        self.net.load_state_dict(best.weights)
        metrics = self.evaluate("test")
        if metrics:
            row = {f"test_{name}": value for name, value in metrics.items()}
            self.files.log(row, self.state.step)
        if self.fabric.is_global_zero:
            self.card(metrics)
        self.files.close()
        self.net.eval()
        self._tell("end", **metrics)
        return metrics

    def card(self, test: dict[str, float]) -> None:
        """Write the card of the model that is in the folder."""
        best = self.state.best
        assert best is not None
        done = {
            "best epoch": best.epoch,
            "epochs done": self.state.epoch,
            "steps": self.state.step,
            "seconds": round(self.seconds),
        }
        scores = {"validation": best.metrics, "test": test}
        name = self.folder.resolve().name
        self.files.card(
            card(
                self.task, self.net, self.options,
                name=name, scores=scores, done=done, origin=self.origin,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ what they are made of

    def batches(self, epoch: int) -> Any:
        """The batches of one epoch, for this process."""
        fabric = self.fabric
        return self.task.epoch(epoch, rank=fabric.global_rank, world_size=fabric.world_size)

    def evaluate(self, split: str) -> dict[str, float]:
        """Metrics on `split`, the same in all processes; none if the task has no such data.

        Random numbers that it draws are not taken from training.
        """
        if split not in self.task.splits:
            return {}
        before = rng.capture(self.fabric.device)
        self.model.eval()
        try:
            with torch.no_grad(), self.signals.at_once(self.fabric.world_size == 1):
                metrics = self.task.evaluate(self.model, split)
        except KeyboardInterrupt:
            rng.restore(before, self.fabric.device)
            self.stop(save=split == "validation")
        rng.restore(before, self.fabric.device)
        metrics = {name: float(value) for name, value in metrics.items()}
        if self.task.monitor not in metrics:
            raise ArgumentError(
                f"task.monitor is {self.task.monitor!r}, which task.evaluate({split!r}) does not "
                f"give; it gives {', '.join(metrics)}"
            )
        return self.fabric.broadcast(metrics)

    def check_finite(self, total: float, norm: Any) -> None:
        """Stop before a loss or gradients that are not finite can reach the weights."""
        what = None
        if not math.isfinite(total):
            what = f"the loss is {total}"
        # A gradient scaler (16-bit training) makes its own use of infinite gradients.
        elif getattr(self.fabric.strategy.precision, "scaler", None) is None:
            value = norm.item()
            what = None if math.isfinite(value) else f"the norm of the gradients is {value}"
        if what is not None:
            raise TrainingError(
                f"{what} at step {self.state.step + 1} (epoch {self.epoch}); try a lower "
                f"learning rate (now {self.options.learning_rate:g}) or clip gradients to a lower "
                f"norm (now {self.options.clip_norm}); the last checkpoint, of step "
                f"{self.files.saved_step}, is untouched"
            )

    def agree(self) -> int:
        """GO_ON, SAVE or STOP: the most that any of the processes wants."""
        if self.fabric.world_size > 1 and self.state.step % STEPS_BETWEEN_AGREEMENTS:
            return GO_ON
        wish = SAVE if self.files.checkpoint_due(self.state.step) else GO_ON
        return highest(self.fabric, wish if self.signals.received is None else STOP)

    def log_row(self, norm: Any) -> None:
        """Log the steps since the last row."""
        loss, self.mine.row_loss = mean(self.fabric, self.mine.row_loss), Mean()
        now = time.perf_counter()
        row = {
            "loss": loss,
            "epoch": self.epoch,
            "learning_rate": self.schedule.get_last_lr()[0],
            "gradient_norm": norm.item(),
            "elements_per_second": self.row_elements / (now - self.row_started),
        }
        self.files.log(row, self.state.step)
        self.row_started, self.row_elements = now, 0

    def save(self) -> None:
        """Write a checkpoint: everything that a resumed run needs."""
        state, fabric = self.state, self.fabric
        state.seconds, state.rows = self.seconds, self.files.rows
        ranks = gather(fabric, {**self.mine.tree(), "generators": rng.capture(fabric.device)})
        if fabric.is_global_zero:
            tree = {
                "identity": self.identity,
                "free": self.free,
                "state": state.tree(),
                "net": self.net.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": fabric.strategy.precision.state_dict(),
                "ranks": ranks,
            }
            self.files.checkpoint(tree, state.step)
        fabric.barrier()
        self.files.checkpoint_done(state.step)
        self._tell("checkpoint")

    def stop(self, save: bool = True) -> NoReturn:
        """Leave after a signal, with a checkpoint of this very step."""
        if save:
            self.save()
        raise TrainingInterrupted(
            f"stopped at step {self.state.step} (epoch {self.epoch}); the checkpoint in "
            f"{self.folder / 'checkpoint'} is complete: resume=True (--resume) goes on from it",
            step=self.state.step,
            exit_code=self.signals.exit_code,
        )

    def _tell(self, kind: str, **values: Any) -> None:
        if self.listeners:
            event = Event(kind, self.state.step, values.get("epoch", self.epoch), values)
            for listener in self.listeners:
                listener(event)
