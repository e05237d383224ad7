"""What ONNX's operators compute: of tensors, of shapes, and the numbers that stand in a file.

Imports PyTorch and the errors only; all that reads an ONNX file imports it.
"""
