"""The explorer: a recording as a page, in a file, in a notebook, or live from a model.

The front end is in `app/`: plain ES modules and a style sheet, shipped as they are. It is given a
*head*, which says in JSON what there is, and *blocks*, the numbers of one value of one sequence
each. Imports the other rooms of `see`; `record` and the command line import it.
"""
