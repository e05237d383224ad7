"""Whether a traced program still says what the step would do: what it read, and what may change.

Imports the cells; `program.cache` imports it.
"""
