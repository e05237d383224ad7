"""What is wrong with a net, as told to a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cello.layers.paths import joined
from cello.see.gradients.horizon import MemoryHorizon
from cello.see.numbers import short

__all__ = ["Diagnosis", "Finding"]

DISTANCES = (1, 3, 10, 30, 100, 300, 1000)
WIDTH = 80


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: a word for it, such as "saturated gate".
        where: the name of the value or layer; "" for the net as a whole.
        evidence: what was seen, with numbers.
        helps: what usually helps.
    """

    kind: str
    where: str
    evidence: str
    helps: str

    def __str__(self) -> str:
        head = f"{self.where}: {self.kind}" if self.where else self.kind
        lines = (f"seen: {self.evidence}", f"what usually helps: {self.helps}")
        fill = textwrap.TextWrapper(WIDTH, initial_indent="  ", subsequent_indent="    ").fill
        return "\n".join([head, *map(fill, lines)])


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """What `cello.diagnose` returns; print it.

    Attributes:
        findings: what is not as it should be; iterating gives them too.
        seen: how many steps and sequences were looked at, in words.
        memories: of each layer and direction, how long its states last; see `MemoryHorizon`.
    """

    findings: Sequence[Finding]
    seen: str
    memories: Mapping[str, MemoryHorizon] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def kinds(self) -> list[str]:
        """The kinds of all findings."""
        return [finding.kind for finding in self.findings]

    def gradients(self) -> dict[str, dict[int, float]]:
        """Of each layer, what is left of its state's gradient by distance in steps."""
        found = {}
        for layer, memory in self.memories.items():
            gain = memory.gain
            found[layer] = {d: float(gain[d]) for d in DISTANCES if d < len(gain)}
        return found

    def __repr__(self) -> str:
        count = len(self.findings)
        lines = [f"{count or 'no'} finding{'' if count == 1 else 's'} in {self.seen}"]
        lines += [f"\n{finding}" for finding in self.findings]
        lines.append("\nwhat is left of a state's gradient after some steps:")
        for layer, by_distance in self.gradients().items():
            shown = ", ".join(f"{d}: {short(left, 2)}" for d, left in by_distance.items())
            lines.append(f"  {joined(layer, 'state')}  {shown}")
        return "\n".join(lines)
