"""The LSTM and the GRU as one writes them in JAX: `lax.scan` over a step, jitted.

As fast as it gets without leaving that form: weights lie as [inputs, outputs], as in Flax, and the
products with the inputs are taken out of the loop for a single sequence; with more rows JAX is
faster when they are left in it. The parameters are those of nn.LSTM and nn.GRU, in their order:
weight_ih, weight_hh (both transposed), bias_ih, bias_hh.

JAX takes as many threads as it likes, whatever PyTorch is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["CELLS", "backward", "forward"]


def _through_time(step: Callable[..., Any], state: Any, weights: tuple[Any, ...], x: Any) -> Any:
    """Scan a step, which takes the state and W x + b."""
    w_ih, _, b_ih, _ = weights
    if x.shape[1] == 1:
        return lax.scan(step, state, x @ w_ih + b_ih)
    return lax.scan(lambda state, x_t: step(state, x_t @ w_ih + b_ih), state, x)


def lstm(weights: tuple[Any, ...], x: Any) -> tuple[Any, tuple[Any, ...]]:
    """Outputs [T, B, H] and the final (h, c)."""
    _, w_hh, _, b_hh = weights
    zeros = jnp.zeros((x.shape[1], w_hh.shape[0]), x.dtype)

    def step(state: tuple[Any, Any], drive: Any) -> tuple[tuple[Any, Any], Any]:
        h, c = state
        i, f, g, o = jnp.split(drive + h @ w_hh + b_hh, 4, axis=-1)
        c = jax.nn.sigmoid(i) * jnp.tanh(g) + jax.nn.sigmoid(f) * c
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    state, y = _through_time(step, (zeros, zeros), weights, x)
    return y, state


def gru(weights: tuple[Any, ...], x: Any) -> tuple[Any, tuple[Any, ...]]:
    """Outputs [T, B, H] and the final (h,)."""
    _, w_hh, _, b_hh = weights
    zeros = jnp.zeros((x.shape[1], w_hh.shape[0]), x.dtype)

    def step(h: Any, drive: Any) -> tuple[Any, Any]:
        x_r, x_z, x_n = jnp.split(drive, 3, axis=-1)
        h_r, h_z, h_n = jnp.split(h @ w_hh + b_hh, 3, axis=-1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        n = jnp.tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        return h, h

    h, y = _through_time(step, zeros, weights, x)
    return y, (h,)


CELLS: dict[str, Callable[..., Any]] = {"LSTM": lstm, "GRU": gru}


def forward(name: str, weights: list[Any], x: Any) -> Callable[[], Any]:
    """A function that computes outputs and the final state; everything is given as numpy arrays."""
    run = jax.jit(CELLS[name])
    given = jax.device_put((tuple(weights), x))
    return lambda: jax.block_until_ready(run(*given))


def backward(name: str, weights: list[Any], x: Any, cotangent: Any) -> Callable[[], Any]:
    """A function that computes outputs and the gradients of the input and of all parameters."""

    @jax.jit
    def run(weights: tuple[Any, ...], x: Any, cotangent: Any) -> Any:
        y, pull = jax.vjp(lambda *given: CELLS[name](*given)[0], weights, x)
        of_weights, of_x = pull(cotangent)
        return y, (of_x, *of_weights)

    given = jax.device_put((tuple(weights), x, cotangent))
    return lambda: jax.block_until_ready(run(*given))
