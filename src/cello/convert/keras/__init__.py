"""Keras's model files, opened without TensorFlow and without running code from them.

Imports layers, cells and the graph of `cello.convert`; `cello.convert` hands on `from_keras`.
"""

from cello.convert.keras.model import from_keras

__all__ = ["from_keras"]
