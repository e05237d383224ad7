"""What fuses in the place of operations that do not: for the message that refuses one."""

from __future__ import annotations

__all__ = ["INSTEAD"]

#: By the name without the overload; those without an entry have no form that fuses.
INSTEAD = {
    "bernoulli": "(torch.rand_like(p) < p).to(p.dtype) draws the same way, and fuses",
    "normal": "mean + std * torch.randn_like(mean) draws the same way, and fuses",
    "multinomial": (
        "the place of the greatest of log p - torch.log(-torch.log(torch.rand_like(p))), by "
        ".argmax(-1), is drawn the same way, and fuses"
    ),
    "exponential": "-torch.log(torch.rand_like(x)) draws the same way, and fuses",
    "bucketize": "(x.unsqueeze(-1) > boundaries).sum(-1).to(x.dtype) fuses",
    "index": "F.one_hot(numbers, many).to(x.dtype) @ table.flatten(1) fuses",
    "index_put": "torch.where(mask, a, b) fuses",
    "masked_scatter": "torch.where(mask, a, b) fuses",
    "nll_loss_forward": "F.log_softmax(x, -1).gather(-1, numbers.unsqueeze(-1)) fuses",
}
