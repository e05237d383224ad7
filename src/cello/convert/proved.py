"""What a conversion has proved, kept beside what it has made."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

__all__ = ["Proof", "not_numbers", "proof_of", "proved", "together"]


@dataclass(frozen=True)
class Proof:
    """What was found equal, and what could not be compared.

    Attributes:
        cases: how many inputs both sides were run on.
        largest: the largest difference between two numbers.
        relative: the largest difference, as a share of the largest number of its tensor (of 1,
            where all are smaller).
        where: the case and the tensor of `relative`.
        not_run: what could not be run, and why; "" if that is nothing.
        only: for which sizes alone both sides are, such as "T = 6"; "" if for all.
        warning: what is wrong with both sides alike: weights that contain NaN; "" if nothing is.
    """

    cases: int = 0
    largest: float = 0.0
    relative: float = 0.0
    where: str = ""
    not_run: str = ""
    only: str = ""
    warning: str = ""

    def __str__(self) -> str:
        only = f"for {self.only} only, " if self.only else ""
        return only + self._found() + (f"; but {self.warning}" if self.warning else "")

    def _found(self) -> str:
        found = (
            f"equal on {self.cases} inputs; largest difference {self.largest:.1e} "
            f"({self.relative:.1e} of the largest number: {self.where})"
        )
        if not self.not_run:
            return found
        return f"{found}; not run: {self.not_run}" if self.cases else f"not run: {self.not_run}"


def together(proofs: Iterable[Proof]) -> Proof:
    """Several proofs as one.

    >>> together([Proof(2, 1e-7, 1e-7, "a"), Proof(3, 2e-7, 1e-8, "b")])
    Proof(cases=5, largest=2e-07, relative=1e-07, where='a', not_run='', only='', warning='')
    """
    some = list(proofs)
    worst = max(some, key=lambda proof: proof.relative, default=Proof())
    return Proof(
        sum(proof.cases for proof in some),
        max((proof.largest for proof in some), default=0.0),
        worst.relative,
        worst.where,
        "; ".join(dict.fromkeys(proof.not_run for proof in some if proof.not_run)),
    )


_PROOFS: weakref.WeakKeyDictionary[Any, Proof] = weakref.WeakKeyDictionary()


def proved(made: Any, proof: Proof) -> None:
    """Keep the proof of what a conversion has made, beside it: nothing is put into it."""
    if isinstance(made, nn.Module) and (said := not_numbers(made)):
        proof = replace(proof, warning=said)
    proof = replace(proof, only=proof.only or getattr(made, "only", ""))
    _PROOFS[made] = proof


def not_numbers(net: nn.Module) -> str | None:
    """Which weights of `net` contain NaN, in words; None if none does.

    >>> net = nn.Linear(1, 1)
    >>> not_numbers(net)
    >>> not_numbers(net.requires_grad_(False).apply(lambda m: m.bias.fill_(float("nan"))))
    'the weights contain NaN: bias (1 of 2 tensors)'
    """
    weights = net.state_dict()
    found = [name for name, value in weights.items() if _holds_nan(value)]
    if not found:
        return None
    shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
    return f"the weights contain NaN: {shown} ({len(found)} of {len(weights)} tensors)"


def _holds_nan(value: Any) -> bool:
    """Whether this is a tensor with NaN in it; a quantized module keeps other things too."""
    has_numbers = isinstance(value, Tensor) and value.is_floating_point() and not value.is_meta
    return has_numbers and bool(value.isnan().any())


def proof_of(made: Any) -> Proof | None:
    """How what a conversion has returned was proved equal to what it was made of.

    Args:
        made: what a `from_…` or `to_…` of another library returned.

    Returns:
        On how many inputs both sides were run, the largest difference, and what could not be run;
        None for what no conversion of this process has returned.

    >>> import cello
    >>> proof = proof_of(cello.to_torch(cello.GRU(3, 4)))
    >>> proof.cases, proof.largest < 1e-5
    (19, True)
    """
    return _PROOFS.get(made)
