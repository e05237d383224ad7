"""What is said of a step that does not fuse: in its writer's words, and what would fuse."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import cello
from cello.engines import choose
from cello.errors import EngineError
from cello.program import capture
from cello.program.kernel.lower import lower
from tests.registry import Base

Step = Callable[[Any, Tensor, Tensor], Tensor]


class Doubled(torch.autograd.Function):
    """Has a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Any:
        return 2 * v

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return 2 * g


def scripted(h: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        function = torch.jit.script(twice)
    return function(h)


def twice(h: Tensor) -> Tensor:
    return torch.tanh(h + h)


def spd(h: Tensor) -> Tensor:
    """[B, n, n], symmetric and positive."""
    return h.unsqueeze(2) * h.unsqueeze(1) + torch.eye(3)


def in_place(h: Tensor) -> Tensor:
    h.mul_(0.5)
    return h


def assigned(h: Tensor) -> Tensor:
    h[:, 0] = 1.0
    return h


def kept_out(h: Tensor) -> Tensor:
    new = h.clone()
    new[h[:, 0] > 0] = 0.0
    return new


def branched(h: Tensor) -> Tensor:
    return h / 2 if h.sum() > 0 else h


def shrunk(h: Tensor) -> Tensor:
    while h.norm() > 1.0:
        h = h / 2
    return h


def sized(h: Tensor) -> Tensor:
    return h if len(h) > 2 else h.neg()


def one_by_one(h: Tensor) -> Tensor:
    return torch.stack([row.tanh() for row in h])


def slope(h: Tensor) -> Tensor:
    with torch.enable_grad():
        point = h.detach().requires_grad_()
        return torch.autograd.grad(point.tanh().sum(), point)[0]


def said_aloud(h: Tensor) -> Tensor:
    return h * len(str(h))


#: What makes the refused part of a step of the state: what is said of it, and what is to be written
#: in its place, where the message tells it.
REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str, Callable[[Tensor], Tensor] | None]] = {
    "if": (
        branched,
        "decides by the values in a tensor (as `if`",
        lambda h: torch.where(h.sum(1, keepdim=True) > 0, h / 2, h),
    ),
    "while": (shrunk, "decides by the values in a tensor (as `if`", None),
    "item": (lambda h: h * h.max().item(), "decides by the values in a tensor (as `if`", None),
    "tolist": (lambda h: h * h[:, 0].tolist()[0], "with tolist", None),
    "numpy": (lambda h: h + torch.from_numpy(h.detach().numpy()), "with numpy", None),
    "repr": (said_aloud, "with repr", None),
    "selected": (lambda h: h + h[h > 0].sum(), "decides by the values in a tensor", None),
    "nonzero": (lambda h: h + torch.nonzero(h).sum(), "decides by the values in a tensor", None),
    "sort": (lambda h: h.sort(1).values, "no sort", None),
    "argsort": (lambda h: h + torch.argsort(h, 1), "no argsort", None),
    "topk": (lambda h: h + h.topk(2, 1).values[:, :1], "no topk", None),
    "median": (lambda h: h - h.median(1, keepdim=True).values, "no median", None),
    "inverse": (lambda h: torch.linalg.inv(spd(h))[:, 0] + h, "no linalg_inv", None),
    "cholesky": (lambda h: torch.linalg.cholesky(spd(h))[:, 0], "no linalg_cholesky", None),
    "determinant": (lambda h: h * torch.linalg.det(spd(h))[:, None], "no linalg_det", None),
    "matrix exponential": (lambda h: torch.matrix_exp(spd(h))[:, 0], "no matrix_exp", None),
    "bessel": (lambda h: h * torch.special.i0(h), "no special_i0", None),
    "interpolate": (
        lambda h: F.interpolate(h.unsqueeze(1), size=5, mode="linear")[:, 0, :3],
        "no interpolate",
        None,
    ),
    "adaptive pool": (
        lambda h: h + F.adaptive_avg_pool1d(h.unsqueeze(1), 2)[:, 0, :1],
        "no adaptive_avg_pool1d",
        None,
    ),
    "scattered": (
        lambda h: torch.zeros_like(h).scatter_add(1, (h > 0).long(), h),
        "no scatter_add",
        None,
    ),
    "buckets": (
        lambda h: h + torch.bucketize(h, torch.tensor([-0.5, 0.5])),
        "(x.unsqueeze(-1) > boundaries).sum(-1).to(x.dtype) fuses",
        lambda h: h + (h.unsqueeze(-1) > torch.tensor([-0.5, 0.5])).sum(-1).to(h.dtype),
    ),
    "cross entropy": (
        lambda h: h * F.cross_entropy(h, (h[:, 0] > 0).long(), reduction="none")[:, None],
        "F.log_softmax(x, -1).gather(-1, numbers.unsqueeze(-1)) fuses",
        lambda h: h - F.log_softmax(h, -1).gather(-1, (h[:, 0] > 0).long().unsqueeze(-1)),
    ),
    "whole numbers": (
        lambda h: h + ((h > 0).long() + 1),
        "add computes with whole numbers",
        lambda h: h + ((h > 0).to(torch.float32) + 1),
    ),
    "small whole numbers": (
        lambda h: h * (h > 0).int(),
        "int makes numbers of torch.int32",
        None,
    ),
    "bfloat16": (
        lambda h: h.to(torch.bfloat16).float(),
        "to makes numbers of torch.bfloat16, where the step computes with torch.float32",
        None,
    ),
    "complex": (
        lambda h: torch.complex(h, h).abs(),
        "complex numbers do not fuse; their real and imaginary parts do",
        lambda h: torch.sqrt(h * h + h * h + 1e-9),
    ),
    "fourier": (
        lambda h: torch.fft.irfft(torch.fft.rfft(h, dim=1), n=3, dim=1),
        "complex numbers do not fuse",
        None,
    ),
    "mean over rows": (lambda h: h - h.mean(0), "mean does not treat each row by itself", None),
    "norm of all": (
        lambda h: h / h.norm(),
        "norm does not treat each row by itself",
        lambda h: h / (h.norm(dim=-1, keepdim=True) + 1e-6),
    ),
    "rows turned": (lambda h: h + h.flip(0), "flip does not treat each row by itself", None),
    "pairs of rows": (
        lambda h: torch.softmax(h @ h.t(), 1) @ h,
        "transpose does not treat each row by itself",
        None,
    ),
    "first row": (lambda h: h + h[0], "select does not treat each row by itself", None),
    "rows put": (
        kept_out,
        "torch.where(mask, a, b) fuses",
        lambda h: torch.where(h[:, :1] > 0, 0.0, h),
    ),
    "one of rows": (
        lambda h: torch.eye(len(h)) @ h,
        "eye makes a tensor whose rows are not those of the batch",
        None,
    ),
    "matrices chosen": (
        lambda h: torch.bmm(torch.ones(3, 3, 3)[h.argmax(1)], h.unsqueeze(2)).squeeze(2),
        "F.one_hot(numbers, many).to(x.dtype) @ table.flatten(1) fuses",
        lambda h: torch.bmm(
            (F.one_hot(h.argmax(1), 3).to(h.dtype) @ torch.ones(3, 3, 3).flatten(1)).view(-1, 3, 3),
            h.unsqueeze(2),
        ).squeeze(2),
    ),
    "drawn by h": (
        lambda h: torch.bernoulli(torch.sigmoid(h)),
        "(torch.rand_like(p) < p).to(p.dtype) draws the same way",
        lambda h: (torch.rand_like(h) < torch.sigmoid(h)).to(h.dtype),
    ),
    "chosen by h": (
        lambda h: h + torch.multinomial(torch.softmax(h, 1), 1),
        "the place of the greatest of",
        lambda h: (
            h
            + (h.log_softmax(1) - torch.log(-torch.log(torch.rand_like(h))))
            .argmax(-1)
            .unsqueeze(1)
            .to(h.dtype)
        ),
    ),
    "gumbel": (
        lambda h: F.gumbel_softmax(h),
        "-torch.log(torch.rand_like(x)) draws the same way",
        lambda h: torch.softmax(h - torch.log(-torch.log(torch.rand_like(h))), -1),
    ),
    "own gradient": (
        lambda h: Doubled.apply(h),
        "Doubled.apply, an autograd.Function, has a gradient of its own",
        lambda h: h + (2 * h - h).detach(),
    ),
    "scripted": (scripted, "torch.jit.script has made", twice),
    "vmap": (
        lambda h: torch.func.vmap(lambda a: a.reshape(3, 1)[:, 0].squeeze_())(h.clone()),
        "",
        None,
    ),
    "gradients": (
        slope,
        "it computes gradients",
        None,
    ),
    "sparse": (lambda h: h + h.to_sparse().to_dense(), "to_sparse makes a sparse tensor", None),
    "state in place": (
        in_place,
        "mul_ changes the state h in place",
        lambda h: in_place(h.clone()),
    ),
    "part of state": (assigned, "changes", lambda h: assigned(h.clone())),
    "size of batch": (sized, "depends on the batch size", None),
    "row by row": (one_by_one, "what treats all rows alike, at any number of them", torch.tanh),
    "pool with places": (
        lambda h: h + F.max_pool1d(h.unsqueeze(1), 2, return_indices=True)[1][:, 0],
        "a fused loop has not all results of max_pool1d",
        None,
    ),
    "greatest and place": (
        lambda h: h + h.max(1, keepdim=True).indices,
        "max",
        lambda h: h + h.argmax(1, keepdim=True).to(h.dtype),
    ),
    "vectors": (
        lambda h: h + torch.sin(h.unsqueeze(1).expand(-1, 65, 3)).sum(1),
        "sin makes 65 vectors a row, where a fused loop has at most 64",
        None,
    ),
}

#: Words of tracers and of PyTorch's inside that no user has written.
INNER = re.compile(
    r"aten|prim\.|\.default|\b_\w+|\w_(ex|forward|backward|copy)\b|FunctionalTensor|"
    r"\b(17|constant_\d|arg\d|h_prev)\b|SparseTensorImpl|\bw+_\d\b"
)


class Made(Base):
    def __init__(self, part: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.part = part

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(self.W(x) + self.part(h))
        return h, (h,)


def said(part: Callable[[Tensor], Tensor]) -> str:
    """The one warning of `engine="auto"`."""
    layer, x = cello.Recurrent(Made(part)), torch.randn(3, 3, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer(x)
    (message,) = {str(one.message) for one in caught if one.category is cello.EngineWarning}
    return message


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_said_in_the_users_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_warned", set())
    part, words, instead = REFUSED[name]
    message = said(part)
    assert words in message
    file, line = re.findall(r"[( ]([^ (]*\.py):(\d+)\)", message)[0]
    assert file == __file__
    lines, first = inspect.getsourcelines(part)
    assert int(line) in range(first, first + len(lines)), message
    quoted = re.findall(r"\), `(.*?)`(?=;|$)", message)
    assert quoted, message
    assert INNER.search(message.replace(file, "").replace(quoted[0], "")) is None, message
    with pytest.raises(EngineError) as error, cello.engine("cpu"):
        cello.Recurrent(Made(part))(torch.randn(3, 3, 3))
    reason = message.removesuffix("; engine 'cpu' leaves Made to a slower one")
    assert str(error.value) == f"engine 'cpu' cannot run Made: {reason}"
    if instead is not None:
        lower(capture(Made(instead)))
