"""What all languages of loops write alike, and names that they allow."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from cello.program.kernel.primitives import PRIMITIVES

__all__ = ["ALIKE", "free_name"]

#: Pointwise functions of which most languages write the same: operators, and functions of our own.
ALIKE: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "copy": "{}",
    "stop": "{}",
    "and": "{} & {}",
    "or": "{} | {}",
}
for _name, _primitive in PRIMITIVES.items():
    _own = "{0}" if _primitive.passes else f"v_{_name}({', '.join(['{}'] * _primitive.arguments)})"
    ALIKE.setdefault(_name, _own)


def free_name(name: str, taken: Collection[str], is_reserved: Callable[[str], bool]) -> str:
    """`name` in letters that every language has, neither reserved nor taken."""
    plain = re.sub(r"\W", lambda found: f"u{ord(found[0]):x}", name, flags=re.ASCII)
    plain = plain if re.match(r"[A-Za-z]", plain) else f"v{plain}"
    if is_reserved(plain):
        plain += "_"
    unique, number_ = plain, 1
    while unique in taken:
        number_ += 1
        unique = f"{plain}{'' if plain.endswith('_') else '_'}{number_}"
    return unique
