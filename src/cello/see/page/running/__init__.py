"""Nets as JavaScript, for a page that runs them itself.

Imports layers and the regions of the compiled engine; `cello.see.page` offers it.
"""
