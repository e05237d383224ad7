"""The numbers of rows that a step is traced with are nobody's but the tracer's."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import CelloError
from cello.program import program_of
from cello.program.sizes import of_any_size, shown
from cello.program.trace.capture import SIZES, SIZES_FROM_ONE

SIZES_OF_TRACES = (SIZES[0], SIZES_FROM_ONE[0], *SIZES[1:])


class Faulty(cello.Cell):
    """A cell of 3 inputs and 4 units, whose parts have no other sizes than these."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)
        self.inner = cello.GRUCell(3, 4)
        self.norm = nn.LayerNorm(4)


class WrongProduct(Faulty):
    def step(self, x, h):
        h = h + x @ self.W.weight
        return h, (h,)


class WrongNorm(Faulty):
    def step(self, x, h):
        h = h + self.norm(x)
        return h, (h,)


class WrongState(Faulty):
    def step(self, x, h):
        h, _ = self.inner(x, (x,))
        return h, (h,)


class WrongInput(Faulty):
    def step(self, x, h):
        h, _ = self.inner(h, (h,))
        return h, (h,)


class WrongIndex(Faulty):
    def step(self, x, h):
        h = h + x[:, 4:].index_select(1, torch.tensor([0]))
        return h, (h,)


class Flat(Faulty):
    def step(self, x, h):
        h = h + x.reshape(-1).sum()
        return h, (h,)


class Twice(Faulty):
    def step(self, x, h):
        h = torch.cat([h, h]).roll(1, 0).view(2, -1, 4).sum(0)
        return h, (h,)


class Repeated(Faulty):
    def step(self, x, h):
        h = h.repeat(2, 1)[: len(h)]
        return h, (h,)


class OneLess(Faulty):
    def step(self, x, h):
        h = h + x[: len(x) - 1].mean()
        return h, (h,)


class MeanOverRows(Faulty):
    def step(self, x, h):
        h = h * (1 / len(x))
        return h, (h,)


class Squared(Faulty):
    def step(self, x, h):
        h = h + torch.full((), len(x) ** 2)
        return h, (h,)


class ByRows(Faulty):
    def step(self, x, h):
        if len(x) in SIZES_OF_TRACES:
            raise ValueError(f"cannot do {len(x)} rows")
        return h, (h,)


class ByOneOfThem(Faulty):
    def step(self, x, h):
        if len(x) == SIZES_OF_TRACES[0]:
            raise ValueError(f"cannot do {len(x)} rows of 3")
        return h, (h,)


class ByTheLastOfThem(Faulty):
    def step(self, x, h):
        if len(x) == SIZES_OF_TRACES[-1]:
            raise ValueError(f"cannot do {len(x)} rows of 3")
        return h, (h,)


class FewerRows(Faulty):
    def step(self, x, h):
        return h[1:], (h,)


class OtherState(Faulty):
    def step(self, x, h):
        return h, (x.t(),)


class Flipped(Faulty):
    def step(self, x, h):
        h = h + (h @ h.t()).sum(1, keepdim=True)
        return h, (h,)


class Counted(Faulty):
    def step(self, x, h):
        for row in x:
            h = h + row.sum()
        return h, (h,)


CELLS = Faulty.__subclasses__()


def said(call: object) -> list[str]:
    """What a user is told: warnings and the error, without the places in files."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        texts = []
        try:
            call()
        except Exception as error:
            texts.append(str(error))
    texts += [str(one.message) for one in warned]
    return [re.sub(r"\(?(\S+\.py:\d+|unknown line)\)?", "", text) for text in texts]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("rows", [1, 2])
def test_no_message_holds_them(kind: type[Faulty], rows: int) -> None:
    x = torch.zeros(3, rows, 3)
    calls = [
        lambda: program_of(kind(), torch.float32, torch.device("cpu"), rows=(rows,)),
        lambda: cello.Recurrent(kind(), engine="cpu")(x),
        lambda: cello.Recurrent(kind(), engine="split")(x),
        lambda: cello.Recurrent(kind())(x),
        lambda: cello.equations(kind()),
        lambda: cello.Recurrent(kind()).source(),
    ]
    told = [text for call in calls for text in said(call)]
    assert told, f"{kind.__name__} has nothing wrong"
    # Besides those of the cell there are: one row, an axis or a place, and what counts the rest.
    allowed = {"0", "1", "2", "3", "4", "32", str(rows)}
    for text in told:
        assert set(re.findall(r"(?<![\w.])\d+|\d+(?=x)|(?<=x)\d+", text)) <= allowed, text


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongProduct, "shapes cannot be multiplied (Bx3 and 4x3)"),
        (WrongState, "state.h must be [B, 4], got [B, 3]"),
        (WrongNorm, "input of size[B, 3]"),
        (Flat, "one axis holds the rows and 3 elements of each, B·3 in all"),
        (Twice, "one axis holds the rows and 2 elements of each, B·2 in all"),
        (Repeated, "is [2·B, 4]"),
        (OneLess, "is given B − 1, where of the batch size only B itself can stand"),
        (ByRows, "cannot do B rows"),
        (ByOneOfThem, "cannot do B rows of 3"),
        (ByTheLastOfThem, "cannot do B rows of 3"),
        (FewerRows, "an output of shape [B, size], got [B − 1, 4]"),
        (Squared, "what full is given depends on the batch size"),
        (OtherState, "h with shape [B, 4], got a tensor of shape [3, B]"),
    ],
)
def test_what_they_say_instead(kind: type[Faulty], message: str) -> None:
    with pytest.raises(CelloError, match=re.escape(message)):
        program_of(kind(), torch.float32, torch.device("cpu"))


def test_a_size_that_happens_to_be_theirs_is_not_taken_for_rows() -> None:
    class Narrow(cello.Cell):
        state = ("h",)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            return x, (x,)

    with pytest.raises(CelloError, match=r"with shape \[B, 5\], got a tensor of shape \[B, 7\]"):
        program_of(Narrow(7, 5), torch.float32, torch.device("cpu"))


def test_numbers() -> None:
    sizes = (5, 7)
    assert [shown(a, b, sizes) for a, b in ((5, 7), (6, 8), (15, 21), (25, 49), (7, 5))] == [
        "B", "B + 1", "3·B", None, None,
    ]  # fmt: skip
    assert of_any_size("5 of 15", "7 of 21", sizes) == "B of 3·B"
    assert of_any_size("5 of 15", "only 7", sizes) == "B of 15"
    assert of_any_size("5 of 15", None, sizes) == "B of 15"
    assert of_any_size("none", "none", sizes) == "none"
