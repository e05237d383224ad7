"""What comes after the recurrent layers: one vector for each sequence, a random field over tags.

Imports recurrent layers and below; stacks, tasks and conversions import it.
"""
