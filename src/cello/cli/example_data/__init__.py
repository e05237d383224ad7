"""Networks that are written in data files, as those of the lectures are, and their reports.

Imported by the commands `example`, `run` and `show`.
"""
