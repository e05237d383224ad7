"""The CPU engine: the loop over time as compiled C."""
