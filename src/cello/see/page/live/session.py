"""What a page with Python behind it may ask: numbers, arithmetic, another text, a forced value."""

from __future__ import annotations

import inspect
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import torch
from torch import nn

from cello.engines import engine
from cello.errors import ArgumentError, CaptureError, DtypeError, ModelError, UnknownNameError
from cello.ranges import shown
from cello.see.intervention.intervene import intervene
from cello.see.page.arithmetic import lines
from cello.see.page.data import NumberBlock, PageData, about_net, page_data, places_of
from cello.see.page.labels import add_labels
from cello.see.page.live.read_text import Read, ReadSequence
from cello.see.page.running.given import add_running
from cello.see.page.series import Outlook, add_series
from cello.see.page.shares import Shares
from cello.see.recording.recorded import Recorded
from cello.see.recording.recorder import watch

__all__ = ["ForgottenRunError", "LiveSession", "Session"]

_STEPS = 20_000  # of a sequence are read
_SEQUENCES = 100  # of a text
_RUNS = 4  # are kept, for a page may still ask for what it saw before


class ForgottenRunError(ArgumentError):
    """A page asks about a run that is not kept any more, for others have come since."""


class _Run(NamedTuple):
    """What a page shows, and where it comes from."""

    data: PageData
    places: list[tuple[Recorded, int]]
    shares: dict[int, Shares]  # by the number of a sequence, of those that were asked for


class Session:
    """Answers the questions of a page about recordings.

    Args:
        recordings: of the same net.
        tokens: for each sequence, what to show at each step.
        title: of the page.
        labels: what the numbers of the output stand for; see `Recording.to_html`.
        forecast: what a net that forecasts reads and gives; see there.

    >>> import cello
    >>> rec = cello.record(cello.Recurrent(cello.ElmanCell(1, 1)), torch.ones(2, 1, 1))
    >>> session = Session([rec], title="Elman")
    >>> session.head["title"], len(session.numbers(0, 0))    # two steps of float32
    ('Elman', 8)
    """

    def __init__(
        self,
        recordings: Sequence[Recorded],
        tokens: Sequence[Sequence[str] | None] | None = None,
        title: str = "",
        labels: Sequence[str] | None = None,
        forecast: Outlook | Sequence[Outlook | None] | None = None,
    ) -> None:
        self.title, self.labels = title, labels
        self._prepare()
        outlooks = [forecast] if isinstance(forecast, Outlook) else forecast
        self.head = self._add(recordings, tokens, outlooks=outlooks, runs=True)

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        self._about_net: dict[str, Any] | None = None  # the same in every run
        self._questions: dict[str, Callable[..., dict[str, Any]]] = {
            "explain": self.explain,
            "shares": self.shares,
        }

    def _add(
        self,
        recordings: Sequence[Recorded],
        tokens: Sequence[Sequence[str] | None] | None,
        titles: Sequence[str] | None = None,
        expected: Sequence[Sequence[str] | None] | None = None,
        outlooks: Sequence[Outlook | None] | None = None,
        *,
        runs: bool = False,
    ) -> dict[str, Any]:
        """Keep another run; the head that tells a page of it, with the net if the page runs it."""
        if self._about_net is None:
            self._about_net = about_net(recordings)
        about = self._about_net
        data = page_data(recordings, tokens, title=self.title, titles=titles, about=about)
        add_labels(recordings, data, self.labels, expected if self.labels else None)
        if outlooks is not None:
            add_series(recordings, data, outlooks)
        self.steps = add_running(recordings, data) if runs else "[]"
        number = next(reversed(self._runs), -1) + 1
        self._runs[number] = _Run(data, places_of(recordings), {})
        kept = self.head["run"] if hasattr(self, "head") else number  # which a page begins with
        while len(self._runs) > _RUNS:
            del self._runs[next(run for run in self._runs if run != kept)]
        dtypes = [{"dtype": str(_little(block.take()).dtype)} for block in data.blocks]
        return data.head | {"run": number, "blocks": dtypes}

    def numbers(self, run: int, block: int) -> bytes:
        """The numbers of a block, the first byte the least.

        Raises:
            ArgumentError: there is no such run any more, or no such block.
        """
        return _little(self._block(run, block).take()).tobytes()

    def step(self, run: int, t: int, blocks: Sequence[int]) -> bytes:
        """The numbers of some blocks at one step, one after the other, as float64.

        Raises:
            ArgumentError: there is no such run any more, or no such block.
        """
        rows = [self._block(run, block).take(slice(t, t + 1)).ravel() for block in blocks]
        return np.concatenate(rows).astype("<f8").tobytes()

    def _block(self, run: int, block: int) -> NumberBlock:
        blocks = self._run(run).data.blocks
        if not 0 <= block < len(blocks):
            raise ArgumentError(f"block={block} is none of {len(blocks)}")
        return blocks[block]

    def _run(self, run: int) -> _Run:
        if run not in self._runs:
            raise ForgottenRunError(f"run={run} is not kept any more")
        return self._runs[run]

    def ask(self, question: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a question, one at a time.

        Raises:
            ArgumentError: there is no such question, or it is asked in a wrong way.
            DtypeError: what it is about is of another type.
            CelloError: whatever the answer runs into.
        """
        if not isinstance(question, str) or question not in self._questions:
            raise ArgumentError(f"question must be one of {', '.join(self._questions)}")
        asked = self._questions[question]
        try:
            inspect.signature(asked).bind(**about)
        except TypeError as error:
            raise ArgumentError(f"{question} is asked in a wrong way: {error}") from error
        for name, kind in get_type_hints(asked).items():
            if name in about:
                given = about[name]
                wanted = float | int if kind is float else kind
                if isinstance(given, bool) or not isinstance(given, wanted):
                    what = getattr(kind, "__name__", kind)
                    raise DtypeError(f"must be {what}, got {shown(given)}", argument=name)
        with self._lock:
            return asked(**about)

    def explain(self, run: int, sequence: int, layer: str, t: int, unit: int) -> dict[str, Any]:
        """The arithmetic of a unit at a step; none, and why, if it cannot be shown."""
        rec, batch = self._place(run, sequence)
        try:
            return {"lines": lines(rec, layer, batch, t, unit)}
        except (CaptureError, ModelError, UnknownNameError) as error:
            return {"lines": [], "why": str(error)}

    def shares(self, run: int, sequence: int, t: int, unit: int) -> dict[str, Any]:
        """How much each step mattered to a unit of the net's output at step t."""
        rec, batch = self._place(run, sequence)
        known = self._run(run).shares
        if sequence not in known:
            known[sequence] = Shares(rec)
        return {"shares": known[sequence].of(batch, t, unit).tolist()}

    def _place(self, run: int, sequence: int) -> tuple[Recorded, int]:
        places = self._run(run).places
        if not 0 <= sequence < len(places):
            raise ArgumentError(f"sequence={sequence} is none of {len(places)}")
        return places[sequence]


def _little(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


class LiveSession(Session):
    """Answers for a page on which one types: runs the net on each text.

    Args:
        net: the net, in eval mode.
        read: see `Read`.
        text: the first one.
        title: of the page.
        description: what the page is about.
        labels: what the numbers of the output stand for.

    >>> import cello
    >>> net = cello.Recurrent(cello.GRUCell(1, 2))
    >>> def read(text):
    ...     return [(text, torch.tensor([float(ord(c)) for c in text]).reshape(-1, 1, 1))]
    >>> session = LiveSession(net, read, "abc")
    >>> session.ask("read", {"text": "abcd"})["sequences"][0]["tokens"]
    'abcd'
    """

    def __init__(
        self,
        net: nn.Module,
        read: Read,
        text: str,
        title: str = "",
        description: str = "",
        labels: Sequence[str] | None = None,
    ) -> None:
        self.description, self.labels = description, labels
        self.net, self._read, self.title = net, read, title
        self._prepare()
        self._questions |= {"read": self.read, "force": self.force}
        self.read(text)

    def read(self, text: str) -> dict[str, Any]:
        """Run the net on a text."""
        sequences, notice = self._sequences(text)
        with torch.no_grad():
            recordings = [watch(Recorded, self.net, one.x) for one in sequences]
        titles = [_title(number, one.tokens) for number, one in enumerate(sequences)]
        head = self._known(recordings, sequences, titles)
        self.head = head | self._about(text, notice)
        return self.head

    def force(
        self,
        text: str,
        sequence: int,
        name: str,
        begin: int,
        end: int,
        unit: int | None,
        value: float,
    ) -> dict[str, Any]:
        """Run the net on a sequence as it is, and with a value set from one step to another.

        Raises:
            ArgumentError: there is no such sequence, there are no such steps, or the value is no
                number.
            UnknownNameError: no value has this name.
        """
        sequences, notice = self._sequences(text)
        if not 0 <= sequence < len(sequences):
            raise ArgumentError(f"sequence={sequence} is none of {len(sequences)}")
        read = sequences[sequence]
        tokens, x = read.tokens, read.x
        if not 0 <= begin <= end < len(tokens):
            raise ArgumentError(
                f"from step {begin} to step {end}: expected two of the steps 0 to "
                f"{len(tokens) - 1}, the first of them first"
            )
        if not math.isfinite(value):
            raise ArgumentError(f"the value must be a finite number, got {value}")
        with torch.no_grad():
            with engine("reference"):  # which interventions use too: nothing else may differ
                plain = watch(Recorded, self.net, x)
            units = ... if unit is None else unit
            with intervene(self.net, {name: (slice(begin, end + 1), units, value)}):
                forced = watch(Recorded, self.net, x)
        what = name if unit is None else f"{name}[{unit}]"
        titles = [_title(sequence, tokens), f"{what} = {value:g}, {begin}–{end}"]
        head = self._known([plain, forced], [read, read], titles)
        return head | self._about(text, notice) | {"forced": sequence}

    def _about(self, text: str, notice: list[int]) -> dict[str, Any]:
        return {"text": text, "notice": notice, "description": self.description}

    def _known(
        self, recordings: Sequence[Recorded], read: Sequence[ReadSequence], titles: Sequence[str]
    ) -> dict[str, Any]:
        """Keep another run, with what is known of the sequences that were read."""
        tokens, _, expected, outlooks = zip(*read, strict=True) if read else ((),) * 4
        return self._add(recordings, tokens, titles, expected, outlooks)

    def _sequences(self, text: str) -> tuple[list[ReadSequence], list[int]]:
        """The sequences in the text; and the limits on them, if these cut something off."""
        found = [ReadSequence(*one) for one in self._read(text)]
        longest = max((len(one.tokens) for one in found), default=0)
        notice: list[int] = []
        if longest > _STEPS or len(found) > _SEQUENCES:
            notice = [_SEQUENCES, _STEPS]
        read = [_first_steps(one) for one in found[:_SEQUENCES]]
        if getattr(self.net, "batch_first", False):
            read = [one._replace(x=one.x.transpose(0, 1)) for one in read]
        return read, notice


def _first_steps(read: ReadSequence) -> ReadSequence:
    """A sequence, no longer than a page shows; what is right of the whole goes with the end."""
    if len(read.tokens) <= _STEPS:
        return read
    tokens, x, expected, outlook = read
    right = expected[:_STEPS] if expected is not None and len(expected) == len(tokens) else None
    return ReadSequence(tokens[:_STEPS], x[:_STEPS], right, outlook and replace(outlook, times=()))


def _title(number: int, tokens: Sequence[str]) -> str:
    """The number of a sequence, and how it begins."""
    begin = "".join(tokens[:24]) if all(len(t) == 1 for t in tokens[:24]) else " ".join(tokens[:5])
    return f"{number}: {' '.join(begin.split())}"[:28]
