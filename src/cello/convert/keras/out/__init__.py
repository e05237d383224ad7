"""Networks as models of Keras's.

Imports `convert.proof`, `convert.recurrence` and below, and Keras when a model is made.
"""

from cello.convert.keras.out.to_keras import to_keras

__all__ = ["to_keras"]
