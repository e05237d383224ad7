"""ONNX files, opened as networks of our layers.

`operators` computes what they do and imports PyTorch only; `reader` puts a net together and
imports `onnx`, which is an extra, when it is called.
"""
