"""How good predictions are: accuracies, bits per character, and scores of spans.

Knows of numbers only, of no task; tasks import it.
"""
