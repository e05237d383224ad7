"""What PyTorch sees of the fused loops: operators, their gradients, and the calls.

Imports the plan, which brings the loops along; `run_plan` imports it, and what calls loops itself.
"""
