"""From the text of a kernel to a library: which compiler, which flags, and the cache.

Knows nothing of kernels; imports `errors` and `files` only.
"""
