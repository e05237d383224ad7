"""How the answers of a model are shown: scores, labels, forecasts, coloured texts.

Imports what the command line has beside it; the commands and `cello demo` import it.
"""
