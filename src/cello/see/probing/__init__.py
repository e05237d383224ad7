"""Which property of its input a memory holds, and which unit tells it.

Imports `recording`; `record` and the command line import it.
"""
