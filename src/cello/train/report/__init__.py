"""What a run tells: events, from these the progress on a terminal, and the log of its metrics.

The lowest room of training; all of it may import this.
"""
