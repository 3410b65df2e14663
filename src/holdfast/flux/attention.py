"""Flux's MultiHeadAttention: dot-product attention in several heads, on ``(batch, length, features)``.

Source: Flux.jl src/layers/attention.jl, NNlib.jl src/attention.jl; Vaswani et al., 2017.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any, Self

import torch
from torch import Tensor, nn

from holdfast.errors import MismatchError
from holdfast.flux.basic import Dense
from holdfast.flux.dropout import Dropout
from holdfast.flux.fields import spelled_call
from holdfast.flux.initialise import Init, glorot_uniform

__all__ = ["MultiHeadAttention", "make_causal_mask"]

Dims = int | Sequence[Any]


def make_causal_mask(x: Tensor) -> Tensor:
    """Which places of a sequence (the last axis but one of ``x``) each may look at: itself and those before it.

    >>> import torch
    >>> make_causal_mask(torch.zeros(1, 2, 4)).tolist()
    [[True, False], [True, True]]
    """
    length = x.shape[-2]
    return torch.ones(length, length, dtype=torch.bool, device=x.device).tril()


class MultiHeadAttention(nn.Module):
    """Flux's ``MultiHeadAttention(dims; nheads = 8)``: gives the outputs and the attention scores.

    ``dims`` is one number, or Flux's ``in => (qk, v) => out`` as ``(in, (qk, v), out)``, in which ``in`` may be
    ``(q_in, k_in, v_in)`` and ``(qk, v)`` one number. Called with queries, keys and values; with two, values are the
    keys; with one it attends to itself.

    >>> import torch
    >>> layer = MultiHeadAttention(64, nheads=8)
    >>> y, scores = layer(torch.zeros(32, 10, 64), torch.zeros(32, 20, 64))
    >>> y.shape, scores.shape
    (torch.Size([32, 10, 64]), torch.Size([32, 8, 10, 20]))
    >>> MultiHeadAttention((64, (32, 16), 8), nheads=4)
    MultiHeadAttention((64, (32, 16), 8), nheads=4)
    """

    def __init__(
        self,
        dims: Dims,
        *,
        nheads: int = 8,
        bias: bool = False,
        init: Init = glorot_uniform,
        dropout_prob: float = 0.0,
    ) -> None:
        super().__init__()
        (q_in, k_in, v_in), (qk, v), out = widths(dims)
        if qk % nheads or v % nheads:
            raise MismatchError(f"MultiHeadAttention: nheads={nheads} must divide both qk={qk} and v={v}")
        self.nheads = nheads
        self.q_proj = Dense(q_in, qk, bias=bias, init=init)
        self.k_proj = Dense(k_in, qk, bias=bias, init=init)
        self.v_proj = Dense(v_in, v, bias=bias, init=init)
        self.attn_drop = Dropout(dropout_prob)
        self.out_proj = Dense(v, out, bias=bias, init=init)

    @classmethod
    def of(cls, nheads: int, q_proj: Any, k_proj: Any, v_proj: Any, attn_drop: Any, out_proj: Any) -> Self:
        """The layer around these layers, in the order of Flux's struct."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer.nheads = nheads
        layer.q_proj, layer.k_proj, layer.v_proj = q_proj, k_proj, v_proj
        layer.attn_drop = attn_drop
        layer.out_proj = out_proj
        return layer

    def forward(
        self,
        q: Tensor,
        k: Tensor | None = None,
        v: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``(batch, q_len, q_in)``, ``(batch, kv_len, k_in)`` and ``(batch, kv_len, v_in)`` to the outputs
        ``(batch, q_len, out)`` and the scores ``(batch, nheads, q_len, kv_len)``.

        ``bias`` is added to the scores before the softmax; where ``mask`` is False there is no attention. Both
        broadcast to the scores' shape. Raises MismatchError.
        """
        k = q if k is None else k
        v = k if v is None else v
        if q.dim() != 3 or k.dim() != 3 or v.dim() != 3 or k.shape[:2] != v.shape[:2] or q.shape[0] != k.shape[0]:
            shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
            raise MismatchError(f"{self!r} needs (batch, length, features) three times; got {shapes}")
        queries, keys, values = self._heads(self.q_proj(q)), self._heads(self.k_proj(k)), self._heads(self.v_proj(v))
        logits = queries / sqrt(queries.shape[-1]) @ keys.transpose(-2, -1)
        logits = logits if bias is None else logits + bias
        logits = logits if mask is None else logits.masked_fill(~mask, float("-inf"))
        scores: Tensor = self.attn_drop(torch.softmax(logits, dim=-1))
        joined = (scores @ values).transpose(1, 2).flatten(2)
        return self.out_proj(joined), scores

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.nheads, -1).transpose(1, 2)

    def __repr__(self) -> str:
        inputs = tuple(layer.weight.shape[1] for layer in (self.q_proj, self.k_proj, self.v_proj))
        inner = (self.q_proj.weight.shape[0], self.v_proj.weight.shape[0])
        return spelled_call(
            "MultiHeadAttention",
            spelled_widths(inputs, inner, self.out_proj.weight.shape[0]),
            nheads=(self.nheads, None),
            bias=(self.q_proj.bias is not False, False),
            dropout_prob=(self.attn_drop.p, 0),
        )


def widths(dims: Dims) -> tuple[tuple[int, int, int], tuple[int, int], int]:
    """``dims`` in full: ``(q_in, k_in, v_in), (qk, v), out``.

    >>> widths(4), widths((3, 6, 8))
    (((4, 4, 4), (4, 4), 4), ((3, 3, 3), (6, 6), 8))
    """
    if isinstance(dims, int):
        return (dims, dims, dims), (dims, dims), dims
    try:
        inputs, inner, out = dims
        q_in, k_in, v_in = (inputs,) * 3 if isinstance(inputs, int) else inputs
        qk, v = (inner,) * 2 if isinstance(inner, int) else inner
    except (TypeError, ValueError):
        raise MismatchError(f"MultiHeadAttention({dims}): give a number, or (in, (qk, v), out)") from None
    return (q_in, k_in, v_in), (qk, v), out


def spelled_widths(inputs: Sequence[int], inner: Sequence[int], out: int) -> str:
    """The shortest ``dims`` that means these widths."""
    if {*inputs, *inner} == {out}:
        return str(out)
    shorter = [sizes[0] if len(set(sizes)) == 1 else tuple(sizes) for sizes in (inputs, inner)]
    return str((*shorter, out))
