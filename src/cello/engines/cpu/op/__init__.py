"""What PyTorch sees of the fused loops: operators, their gradients, and the calls.

Imports the plan and the library of the CPU engine; `engine` imports it.
"""
