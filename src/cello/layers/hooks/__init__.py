"""Who may watch a run of a layer, or set its values while it goes through time.

Imports `call` and the engines; `through_time` and the drop-ins import it.
"""
