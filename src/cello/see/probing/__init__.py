"""Which property of its input a memory holds, and which unit tells it.

Imports `recording`; `cello demo` asks it, and `cello` hands it on.
"""
