"""What a run reports: events, the progress bar that listens to them, and the log of metrics.

The lowest room of training; all of it may import this.
"""
