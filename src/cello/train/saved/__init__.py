"""A run's folder: checkpoints and their contents, the run's identity, and the lock on the folder.

Knows nothing of the loop; the training run imports it.
"""
