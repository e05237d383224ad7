"""Networks as ONNX graphs: written from the traced steps, checked, run and compared.

Imports `convert.proof`, `layers` and below, `onnx` and `onnxruntime`; nothing imports it but who
exports, for these are an extra.
"""

try:
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
except ImportError as error:
    raise ImportError(
        "ONNX files need onnx and onnxruntime, which come with Cello's extra onnx: "
        "pip install 'cello[onnx]'"
    ) from error
