"""One recording as a page: `Recording.to_html` and `Recording.explore`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cello.see.page.exercises.exercise import Exercise
from cello.see.page.series import Outlook
from cello.see.page.tokens import sequences_of
from cello.see.page.worded import Worded
from cello.see.recording.recorded import Recorded

__all__ = ["explore", "to_html"]


def to_html(
    recording: Recorded,
    path: str | os.PathLike[str],
    tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    title: Worded = "",
    description: Worded = "",
    names: str | Iterable[str] | None = None,
    labels: Sequence[str] | None = None,
    expected: Sequence[str] | Sequence[Sequence[str] | None] | None = None,
    forecast: Outlook | Sequence[Outlook | None] | None = None,
    begin: tuple[str, int] | tuple[str, int, int] | None = None,
    precision: str | None = None,
    arithmetic_steps: int = 200,
    shares: int | None = None,
    exercises: Sequence[Exercise] = (),
) -> Path:
    """Write the explorer of this recording: one HTML file that works offline.

    It shows what the net read, coloured by any unit, all units along time, every number of a
    step and its arithmetic, and finds the unit that tells a property of the steps. What is
    shown of the net's code and of tokens is text, whatever it holds; nothing is loaded from
    anywhere.

    The page carries the net, up to 2 MB of weights, and runs it with another input, with values
    that are forced, or with other weights. When it is opened it compares a run of its own with the
    recording. What cannot run there says why.

    Args:
        recording: what is shown.
        path: the file.
        tokens: what the net read at each step: a string of one character a step, or a list of
            strings; of several sequences, one such for each. Unless given, inputs of up to four
            numbers stand for themselves.
        title: of the page; as all texts of one's own a string, or strings by language, of which the
            page shows that of its reader: {"en": …, "zh": …}.
        description: what it is about, in a sentence or two of your own; what the net is, what it
            reads and gives, and what the colours mean, the page says by itself.
        names: which values; all unless given.
        labels: what the numbers of the net's output stand for, such as the tags; then the page
            says the net's answer by name, with its probability: at each step, or of a net that
            gives [B, K], one row for each sequence, at the end. Numbers that are
            no probabilities are made such by a softmax; a single number, which decides between two
            labels, by a sigmoid.
        expected: the right label of each step, given as `tokens` are, or for each sequence the one
            right label, as `["spam"]`; then the page says whether the answer is right, and
            underlines the steps where it is not.
        forecast: of a net that forecasts series, what its inputs and outputs stand for, for each
            sequence; then the page draws the series with the forecast from the step that is looked
            at, its bands, and what came. `tokens` are the times of the steps.
        begin: the name of a value, a unit of it and if wanted a step, with which the page begins;
            unless given, the memory's unit that varies most, where it changes most.
        precision: of the numbers: "float16", "float32" or "float64". Unless given they are
            kept as they are up to 4 MB in all, and beyond that in half precision (about three
            digits), which the page says.
        arithmetic_steps: the page fills in the arithmetic of every step by itself, unless its
            form depends on numbers that have no name, such as those below a softmax, or it needs
            more than 4 MB and a twentieth of the numbers' size. For so many steps of single units
            such arithmetic is prepared; if this is not enough, where they change most.
        shares: for so many outputs of each sequence, a unit at a step each, the page can tell which
            steps they come from; if there are more, for those of the last step and those that
            change most. Unless given it is 250, fewer for long sequences and large layers, and
            none beyond 5,000 steps. The net runs once more for it, in eval mode.
        exercises: what a reader may try, see `cello.see.Exercise`; the page checks each change.

    Returns:
        The path.

    Raises:
        ArgumentError: tokens do not fit the sequences, there is no such unit or precision, or an
            exercise does not fit the net, or its answer does not solve it.
        UnknownNameError: no value has one of these names.
        ModelError: the file cannot be written.

    >>> import tempfile, cello
    >>> net = cello.Recurrent(cello.GRUCell(3, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = cello.record(net, torch.randn(5, 1, 3)).to_html(f"{folder}/a.html", "abcde")
    ...     print(page.name, page.stat().st_size < 300_000)
    a.html True
    """
    from cello.see.page import html

    recording.check_holds_something()
    return html.to_html(
        [recording],
        path,
        None if tokens is None else sequences_of(tokens, recording),
        title=title,
        description=description,
        names=names,
        labels=labels,
        expected=None if expected is None else sequences_of(expected, recording, "expected"),
        forecast=forecast,
        begin=begin,
        precision=precision,
        arithmetic_steps=arithmetic_steps,
        shares=shares,
        exercises=exercises,
    )


def explore(
    recording: Recorded,
    tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    title: str = "",
    description: str = "",
    labels: Sequence[str] | None = None,
    forecast: Outlook | Sequence[Outlook | None] | None = None,
    begin: tuple[str, int] | tuple[str, int, int] | None = None,
) -> Any:
    """The page of `to_html` as a widget in Jupyter, marimo and other notebooks.

    There, the arithmetic of every step of every unit can be shown.

    Args:
        recording: what is shown.
        tokens: as for `to_html`.
        title: of the page.
        description: as for `to_html`.
        labels: as for `to_html`.
        forecast: as for `to_html`.
        begin: as for `to_html`.

    Returns:
        An anywidget; let the notebook show it. It keeps the recording until its `close()`.

    Raises:
        ArgumentError: tokens do not fit the sequences, or there is no such unit.
        UnknownNameError: no value has this name.
        ImportError: anywidget is not installed: pip install 'cello[notebook]'.

    >>> import cello
    >>> rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 1, 3))
    >>> rec.explore("abcde").head["sequences"][0]["tokens"]
    'abcde'
    """
    try:
        from cello.see.page.live.widget import Explorer
    except ImportError as error:
        raise ImportError(
            "explore() needs anywidget, which is not installed: pip install 'cello[notebook]'"
        ) from error
    recording.check_holds_something()
    found = None if tokens is None else sequences_of(tokens, recording)
    return Explorer([recording], found, title, begin, description, labels, forecast)
