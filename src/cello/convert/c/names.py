"""The name that all that an exported C file offers begins with."""

from __future__ import annotations

import re

from cello.errors import ArgumentError, DtypeError

__all__ = ["check_name"]

#: Keywords of C and C++: the header is read by both.
KEYWORDS = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl complex
    concept const const_cast consteval constexpr constinit continue co_await co_return co_yield
    decltype default delete do double dynamic_cast else enum explicit export extern false float for
    friend goto if imaginary inline int long mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public register reinterpret_cast requires restrict return
    short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t
    while xor xor_eq
    """.split()
)
_LONGEST = 31


def check_name(name: object) -> str:
    """The name, if C and file systems have no other use for it.

    Raises:
        DtypeError: it is no string.
        ArgumentError: it is no identifier of C, a keyword of C or C++, or reserved.

    >>> check_name("amp")
    'amp'
    """
    if not isinstance(name, str):
        raise DtypeError(f"name must be a string, got {type(name).__name__}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ArgumentError(
            f"must be a letter, then letters, digits and _, for it begins names in C; got {name!r}",
            argument="name",
        )
    if name in KEYWORDS:
        raise ArgumentError(f"must be no keyword of C or C++, got {name!r}", argument="name")
    if len(name) > _LONGEST or "__" in name:
        raise ArgumentError(
            f"must have at most {_LONGEST} characters and no double _, got {name!r}",
            argument="name",
        )
    return name
