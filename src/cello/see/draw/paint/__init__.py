"""Shapes, text and SVG: how a placed drawing becomes a picture.

Imports nothing of `see` but numbers.
"""
