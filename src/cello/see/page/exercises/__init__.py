"""Exercises: what a reader of a page may try, and whether it is done.

Imported by the page, which checks them as its net runs, in `app/exercises.js`.
"""
