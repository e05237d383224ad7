"""Shapes, text and SVG: how a placed drawing becomes a picture.

Imports the notation of formulas and no other room; all other rooms of drawings import it.
"""
