"""The parts of `cello demo`: what a memory holds, and how many seconds a step takes.

Imported by the command alone.
"""
