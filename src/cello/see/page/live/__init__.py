"""A page with Python behind it: the server of `cello explore`, and the widget of a notebook.

Imports the rest of `page`; `methods` and the command line import it.
"""
