"""The second half of `cello demo`: which memory unit knows that it is inside a string?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from rich.text import Text
from torch import Tensor, nn

from cello.cli.answers.coloured import legend, print_coloured
from cello.cli.language import said
from cello.cli.output import rich_output
from cello.layers import DropIn
from cello.see import record
from cello.see.probing.units import rank_units
from cello.tasks import Tagging
from cello.tasks.readers.corpus import Document, split_documents, standard_library
from cello.tasks.readers.python_source import KINDS, MEMORY_KINDS, kind_ids

__all__ = ["show_memory"]

PIECE = 2048  # characters that are read at a stretch where units are searched
PIECES = 48  # so many of them
LINES = 14  # of the passage
BEFORE = 600  # characters before the passage that the page begins with
SIGNS = {"space": " ", "newline": " ", "number": "1"}  # the others by their first letter

#: A file, and where the passage begins and ends.
Passage = tuple[Document, int, int]

#: For each kind of character, whether it lies inside a string or comment.
_INSIDE = torch.tensor([kind in MEMORY_KINDS for kind in KINDS])


def show_memory(task: Tagging, net: nn.Module, page: Path) -> None:
    """Find the unit of the LSTM that tells best what is inside a string or comment, and show it.

    Args:
        task: what the net has learned.
        net: the LSTM.
        page: where the explorer of the passage goes.
    """
    net.eval()
    (layer,) = [module for module in net.modules() if isinstance(module, DropIn)]
    parts = split_documents(standard_library())
    values, inside = _search_data(task, net, parts["validation"])
    best = rank_units(values, inside)[0]
    values, inside = _search_data(task, net, parts["test"])
    (test,) = rank_units(values[:, [best.unit]], inside)
    click.echo(
        said(
            "\nOf the LSTM's {} memories, number {} tells best what is inside a string or "
            "comment:\narea under the ROC curve {} on validation text, where it was found, and {} "
            "on test text.",
            layer.hidden_size,
            best.unit,
            f"{best.strength:.3f}",
            f"{test.strength:.3f}",
        )
    )
    low, high = values[:, best.unit].quantile(torch.tensor([0.02, 0.98]).double()).tolist()
    if best.auc < 0.5:
        low, high = high, low
    passage = _passage(parts["test"])
    _show_passage(task, net, passage, best.unit, low, high)
    _write_page(task, net, passage, best.unit, page)


def _write_page(task: Tagging, net: nn.Module, passage: Passage, unit: int, page: Path) -> None:
    """The explorer of the passage and a few lines before it, coloured by one memory."""
    document, start, end = passage
    begin = document.text.rfind("\n", 0, max(0, start - BEFORE)) + 1
    text = document.text[begin:end]
    with torch.no_grad():  # what stands before is read too
        state = net(task.features.encode(document.text[:begin])[:, None])[1] if begin else None
        rec = record(net, task.features.encode(text)[:, None], state)
    page.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "en": "An LSTM that was trained to tell the kind of each character of Python code; it "
        "opens on the memory that tells best whether it is inside a string or a comment.",
        "zh": "一个 LSTM，训练来分辨 Python 代码里每个字符的种类；"
        "打开时显示最能说明是否在字符串或注释里面的那个记忆。",
    }
    kinds = [KINDS[kind] for kind in kind_ids(document.text)[begin:end]]
    rec.to_html(
        page,
        text,
        title=document.name,
        description=description,
        labels=KINDS,
        expected=kinds,
        begin=("c", unit),
    )
    click.echo(said("\nEvery value of the LSTM on these lines, to look into: {}", page))


def _show_passage(
    task: Tagging, net: nn.Module, passage: Passage, unit: int, low: float, high: float
) -> None:
    document, start, end = passage
    text = document.text[start:end]
    memory, logits = _read(task, net, [document.text[:end]])
    predicted = logits[start:, 0].argmax(-1).tolist()
    gold = kind_ids(document.text)[start:end]
    line = document.text.count("\n", 0, start) + 1
    console = rich_output()
    signs = ", ".join(f"{_sign(kind, False)} {kind}" for kind in KINDS if _sign(kind, False) != " ")
    click.echo(
        said(
            "\n{} from line {} on, coloured by memory {}. Below each line, what the LSTM says "
            "each\ncharacter is: {};\na capital or _, in red, where it errs.\n",
            document.name,
            line,
            unit,
            signs,
        )
    )
    legend(console, low, high, said("memory {}, from outside to inside:", unit))
    console.print(Text())
    wrong = [p != g for p, g in zip(predicted, gold, strict=True)]
    below = [_sign(KINDS[p], bad) for p, bad in zip(predicted, wrong, strict=True)]
    print_coloured(console, text, memory[start:, 0, unit].tolist(), low, high, below, wrong)


def _sign(kind: str, wrong: bool) -> str:
    sign = SIGNS.get(kind, kind[0])
    if not wrong:
        return sign
    return sign.upper() if sign.isalpha() else "_"


@torch.no_grad()
def _read(task: Tagging, net: nn.Module, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The LSTM's memory [T, B, H] and the logits [T, B, O] over texts of one length T."""
    ids = torch.stack([task.features.encode(text) for text in texts], dim=1)
    rec = record(net, ids, only="*.c")
    return rec["c"].double(), rec.output


def _search_data(
    task: Tagging, net: nn.Module, documents: Sequence[Document]
) -> tuple[Tensor, Tensor]:
    """The memory [N, H] over pieces of text, and which characters are inside, [N]."""
    pieces, kinds = [], []
    for document in documents:
        ids = kind_ids(document.text, document.name)
        for at in range(0, len(ids) - PIECE + 1, PIECE):
            pieces.append(document.text[at : at + PIECE])
            kinds.append(torch.tensor(list(ids[at : at + PIECE])))
    step = max(1, len(pieces) // PIECES)
    chosen = range(0, len(pieces), step)
    memory, _ = _read(task, net, [pieces[number] for number in chosen])
    inside = _INSIDE[torch.stack([kinds[number] for number in chosen], dim=1)]
    return memory.flatten(0, 1), inside.flatten()


def _passage(documents: Sequence[Document]) -> Passage:
    """A passage of a few lines with a comment, a string over several lines, and code."""
    best: tuple[float, Document, int, int] | None = None
    for document in documents:
        kinds = [KINDS[kind] for kind in kind_ids(document.text)]
        ends = [at + 1 for at, character in enumerate(document.text) if character == "\n"]
        starts = [0, *ends[:-1]]
        for first in range(len(ends) - LINES + 1):
            start, end = starts[first], ends[first + LINES - 1]
            part = kinds[start:end]
            strings, comments = part.count("string"), part.count("comment")
            code = len(part) - strings - comments - part.count("space")
            goes_on = sum(kinds[at - 1] == "string" for at in ends[first : first + LINES - 1])
            score = min(strings / 2, 2 * comments, code) * (2 if goes_on >= 2 else 1)
            if best is None or score > best[0]:
                best = (score, document, start, end)
    assert best is not None  # held-out files have more than a few lines
    return best[1:]
