"""Which property of its input a memory holds, and which unit tells it.

Imports `recording`; the page imports it.
"""
