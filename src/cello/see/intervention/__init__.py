"""What a net would do if a value were another one.

Imports `recording`; the page imports it.
"""
