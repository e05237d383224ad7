"""What a net would do if a value were different.

Imports `recording`; the page imports it.
"""
