"""The explorer: a recording as a page, in a file, in a notebook, or live from a model.

The front end is in `app/`: plain ES modules and a style sheet, that are shipped as they are. It is
given a *head*, which says in JSON what there is, and *blocks*, the numbers of one value of one
sequence each.
"""

from cello.see.page.data import Block, PageData, page_data
from cello.see.page.html import to_html
from cello.see.page.tokens import sequences_of

__all__ = ["Block", "PageData", "page_data", "sequences_of", "to_html"]
