"""A run's folder: checkpoints and what stands in them, whose run it is, and who is at work there.

Knows nothing of the loop; the training run imports it.
"""
