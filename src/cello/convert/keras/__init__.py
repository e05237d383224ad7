"""Keras's model files, opened without TensorFlow and without running code from them; and models.

Imports layers, cells, `convert.recurrence` and the graph of `cello.convert`, which hands both on.
"""

from cello.convert.keras.model import from_keras, unproved
from cello.convert.keras.out import to_keras

__all__ = ["from_keras", "to_keras", "unproved"]
