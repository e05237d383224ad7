"""Networks as ONNX graphs: written from the traced steps, checked, run and compared.

Imports `convert.proof`, `layers` and below, `onnx` and `onnxruntime`; nothing imports it but who
exports, for these are an extra.
"""
