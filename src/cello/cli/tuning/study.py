"""A study: trials of one training command, remembered in a folder, where the best model is kept."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cello.cli.training.watch import Watch
from cello.cli.tuning.space import Dimension
from cello.errors import ArgumentError, ModelError, TrainingError
from cello.files import replace

__all__ = ["Study"]

_FILE, _NAME, _TABLE, _NOTE = "study.log", "cello", "trials.csv", "trial.json"
#: Trials that are drawn at random before others learn from them, and run to their end.
_RANDOM = 5


class Study:
    """What was tried and is still to be tried.

    Args:
        folder: of the study.
        command: the training command.
        task: its name, such as "tag".
        words: the words of the command line that are the same in each trial.
        space: what differs.
        seed: of what is drawn.

    Raises:
        ArgumentError: Optuna is not installed, or the folder's study is another one.
        ModelError: the study in the folder cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        command: click.Command,
        task: str,
        words: Sequence[str],
        space: Sequence[Dimension],
        seed: int,
    ) -> None:
        self.folder, self.command, self.task = folder, command, task
        self.words, self.space = list(words), list(space)
        self.optuna, self.study = _opened(folder, seed)
        told = {"task": task, "words": self.words, "space": [list(d) for d in self.space]}
        told = json.loads(json.dumps(told))
        if not (kept := self.study.user_attrs):
            for key, value in told.items():
                self.study.set_user_attr(key, value)
        elif kept != told:
            different = next(key for key in told if kept.get(key) != told[key])
            raise ArgumentError(
                f"the study in {folder} has another {different}: see {folder / _FILE}"
            )

    @staticmethod
    def kept(folder: Path) -> dict[str, Any] | None:
        """What the study in a folder is of; None if there is none."""
        return dict(_opened(folder, 0)[1].user_attrs) if (folder / _FILE).is_file() else None

    @property
    def trials(self) -> list[Any]:
        """All trials, as Optuna has them."""
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    @property
    def finished(self) -> list[Any]:
        """Those that have ended, well or not."""
        return [trial for trial in self.trials if trial.state.is_finished()]

    def best(self) -> Any | None:
        """The trial with the best value."""
        complete = [trial for trial in self.trials if trial.state.name == "COMPLETE"]
        return max(complete, key=lambda trial: trial.value, default=None)

    def run(self, count: int, *, quiet: bool) -> None:
        """Try until `count` trials have ended; one that was cut off goes on first.

        Raises:
            TrainingInterrupted: Ctrl-C; what was tried is kept.
        """
        for trial in self.trials:
            if trial.state.name == "RUNNING":  # nobody else runs it: it was cut off
                if set(trial.params) == {dimension.name for dimension in self.space}:
                    self._try(trial.number, trial.params, None, count, quiet)
                else:
                    self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        while len(self.finished) < count:
            trial = self.study.ask()
            for dimension in self.space:
                dimension.suggest(trial)
            self._try(trial.number, trial.params, trial, count, quiet)

    def _try(
        self, number: int, params: dict[str, Any], trial: Any, count: int, quiet: bool
    ) -> None:
        from cello.train.saved import checkpoint

        # The model's card calls it as its folder, which is that of the study in the end.
        where = self.folder / "trials" / str(number) / self.folder.resolve().name
        if (same := self._same(params)) is not None:
            where.mkdir(parents=True, exist_ok=True)
            replace(where / _NOTE, json.dumps(self._note(same.number)).encode())
            self.study.tell(number, same.value)
            self._write_table()
            return
        words = [*self.words, "--output", str(where)]
        for dimension in self.space:
            words += [dimension.flag, dimension.word(params[dimension.name])]
        if checkpoint.exists(where / "checkpoint"):
            words += ["--resume"]
        states, metric, sign = self.optuna.trial.TrialState, "", 1
        began = time.perf_counter()

        def listen(event: Any) -> None:
            nonlocal metric, sign
            if event.kind == "start":
                metric = event.values["monitor"]
                sign = 1 if event.values["higher_is_better"] else -1
            elif event.kind == "epoch" and trial is not None:
                value = event.values.get(f"validation_{metric}")
                if value is not None and value == value:
                    trial.report(sign * value, event.epoch)
                    if trial.should_prune():
                        raise self.optuna.TrialPruned

        watch = Watch(listen)
        note, value = "", None
        try:
            with self.command.make_context(self.task, words) as context:
                watch.enter(context)
                self.command.invoke(context)
        except self.optuna.TrialPruned:
            note = "stopped: worse than others"
            self.study.tell(number, state=states.PRUNED)
        except TrainingError as error:  # such as a loss that is no number
            note = f"failed: {error}"
            self.study.tell(number, state=states.FAIL)
        except (click.UsageError, ValueError):  # the command's own words are wrong
            self.study.tell(number, state=states.FAIL)
            raise
        else:
            result = watch.result
            value = None if result is None else result.validation.get(metric)
            if result is None or value is None or value != value:
                note = "failed: there is no validation metric"
                self.study.tell(number, state=states.FAIL)
            else:
                before = self.best()
                # Optuna knows no note on a trial that was told of by its number: it stands beside.
                about = {"metric": metric, "seconds": round(result.seconds, 1)}
                about |= {"epoch": result.best_epoch, "parameters": watch.parameters}
                replace(where / _NOTE, json.dumps({**about, "value": value}).encode())
                self.study.tell(number, sign * value)
                if before is None or sign * value >= before.value:
                    _keep(where, self.folder)
                    note = "best so far"
        self._write_table()
        if not quiet:
            shown = "  ".join(f"{d.name} {d.word(params[d.name])}" for d in self.space)
            scored = "" if value is None else f"  {metric.replace('_', ' ')} {value:.4f}"
            seconds = time.perf_counter() - began
            line = f"trial {len(self.finished)}/{count}  {shown}{scored}  {seconds:.1f} s  {note}"
            click.echo(line.rstrip(), err=True)

    def _same(self, params: dict[str, Any]) -> Any | None:
        """A trial of the same options, which need not be tried again."""
        words = {d.name: d.word(params[d.name]) for d in self.space}
        for trial in self.trials:
            done = trial.state.name == "COMPLETE" and self._note(trial.number)
            if done and words == {d.name: d.word(trial.params[d.name]) for d in self.space}:
                return trial
        return None

    def table(self) -> tuple[list[str], list[list[str]]]:
        """A row for each trial, the best first: its number, metric, options and how it ended."""
        notes = {trial.number: self._note(trial.number) for trial in self.trials}
        metric = next((note["metric"] for note in notes.values() if note), "value")
        head = ["trial", metric.replace("_", " "), *(d.name for d in self.space)]
        head += ["parameters", "best epoch", "seconds", "ended"]
        order = sorted(self.trials, key=lambda t: (t.state.name != "COMPLETE", -(t.value or 0)))
        rows = []
        for trial in order:
            note = notes[trial.number] if trial.state.name == "COMPLETE" else {}
            words = [
                d.word(trial.params[d.name]) if d.name in trial.params else "" for d in self.space
            ]
            numbers = [str(note.get(key, "")) for key in ("parameters", "epoch", "seconds")]
            value = f"{note['value']:.4f}" if note else ""
            rows.append([str(trial.number), value, *words, *numbers, _ENDED[trial.state.name]])
        return head, rows

    def _note(self, number: int) -> dict[str, Any]:
        path = self.folder / "trials" / str(number) / self.folder.resolve().name / _NOTE
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and {"metric", "value"} <= set(found) else {}

    def _write_table(self) -> None:
        head, rows = self.table()
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *rows])
        try:
            replace(self.folder / _TABLE, text.getvalue().encode())
        except OSError as error:
            raise TrainingError(f"cannot write {self.folder / _TABLE}: {error}") from error


_ENDED = {
    "COMPLETE": "",
    "PRUNED": "worse than others",
    "FAIL": "failed",
    "RUNNING": "cut off",
    "WAITING": "waits",
}


def _opened(folder: Path, seed: int) -> tuple[Any, Any]:
    """Optuna, and the study in a folder, which is made if need be."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ArgumentError(
            "cello tune needs Optuna, which comes with Cello's extra tune: "
            "pip install 'cello[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = JournalStorage(JournalFileBackend(str(folder / _FILE)))
        study = optuna.create_study(
            study_name=_NAME, storage=storage, direction="maximize", load_if_exists=True
        )
        # A study that goes on must not draw again what it drew before.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.get_trials(deepcopy=False)), n_startup_trials=_RANDOM
        )
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_RANDOM, n_warmup_steps=2)
    except Exception as error:  # what stands in the file may be anything
        raise ModelError(f"{folder / _FILE} cannot be read: {error!r}") from error
    return optuna, study


def _keep(source: Path, folder: Path) -> None:
    """Make the model of a trial the one of the study."""
    from cello.convert import load_model, read_config, save_model
    from cello.train.report.card import MARK

    save_model(load_model(source), folder, task=read_config(source)["task"])
    for name in ("README.md", "curves.svg"):
        data = (source / name).read_bytes()
        other = folder / name
        own = (
            name == "README.md"
            and other.exists()
            and not other.read_bytes().startswith(MARK.encode())
        )
        if not own:
            replace(other, data, forced=False)
