"""Recurrent neural networks whose memory you can see."""
from cello.cells import *
