"""The version of Cello, said in this one place."""

__version__ = "0.1.0"
