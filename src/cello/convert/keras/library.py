"""Keras, where it is installed."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

__all__ = ["keras_library"]


def keras_library() -> Any:
    """Keras 3, with the backend that it has been imported with, else KERAS_BACKEND, else torch.

    Raises:
        ImportError: it is not installed, it is Keras 2, or its backend is not there.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        keras = importlib.import_module("keras")
    except ImportError as error:
        raise ImportError(f"Keras 3 is needed (pip install keras): {error}") from error
    if not str(getattr(keras, "__version__", "2")).startswith("3"):
        raise ImportError(f"Keras 3 is needed, {keras.__version__} is installed")
    return keras
