"""A call of a loop and its node in autograd's graph, in C++ where that can be built.

`loop.cpp` and what follows it do what `dense` and `op` do in Python, to the same bits and in half
the time; `recipes` tells it how, `extension` builds it. Imports `op`; `dense` imports it.
"""
