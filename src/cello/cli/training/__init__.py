"""`cello train`: a command for each task, what they share, and what a run remembers of its options.

Imported by the command `train`.
"""
