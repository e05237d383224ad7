"""What data are read from: CoNLL files, text files, collections of documents, Python source.

Knows of no task and no network; tasks and commands import it.
"""
