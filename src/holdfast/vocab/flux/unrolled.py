"""Recur, which Flux had until 0.14, as the recurrent layers of 0.15 and later.

Strategy: a Recur takes a step at a time and remembers its state. Since 0.15 RNN, LSTM, GRU and GRUv3 take a whole sequence
and start from zeros. The weights are the same. What would be lost, and other layers that would take a sequence for
something else, is found before anything changes.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from holdfast import flux
from holdfast.flux.functions import flatten, hcat, maximum, minimum, total, unsqueeze, vec
from holdfast.flux.recurrent import Cell
from holdfast.flux.sequence import Unrolled
from holdfast.vocab.flux.eras import Version, version
from holdfast.vocab.flux.layouts import BY_LAYER

SEQUENCES: Final = version("0.15.0")
"""The first Flux whose recurrent layers take sequences, and the first without Recur."""

LAYERS: Final[dict[type[Cell], type[Unrolled]]] = {
    flux.RNNCell: flux.RNN,
    flux.LSTMCell: flux.LSTM,
    flux.GRUCell: flux.GRU,
    flux.GRUv3Cell: flux.GRUv3,
}

STEP_BY_STEP: Final = {
    *(flux.Dense, flux.Embedding, flux.AlphaDropout, flux.Recur, *LAYERS, *LAYERS.values(), flux.Recurrence),
    *(flux.Chain, flux.Maxout, flux.SkipConnection, flux.Parallel, flux.PairwiseFusion),
}
"""Layers that give for a sequence what they give for each step of it."""

ALONG_FEATURES: Final[dict[type[nn.Module], Any]] = {
    flux.Scale: lambda layer: layer.scale.dim() == 1,
    flux.Diagonal: lambda layer: layer.scale.dim() == 1,
    flux.LayerNorm: lambda layer: len(layer.size) == 1,
    flux.Dropout: lambda layer: layer.dims is None,
}
"""Layers that do so where they are as these say."""

ACROSS_STEPS: Final = (flatten, vec, unsqueeze, hcat, total, maximum, minimum)
"""Functions that do not."""


def unrolled(layer: Any) -> Unrolled | None:
    """The layer of today's Flux that runs the cell of a Recur; None for a cell of the user's own."""
    kind = LAYERS.get(type(layer.cell)) if isinstance(layer, flux.Recur) else None
    return None if kind is None else kind.of(layer.cell)


def is_zero(state: Any) -> bool:
    """Whether a state is none, or zeros."""
    if isinstance(state, tuple):
        return all(map(is_zero, state))
    return state is None or (isinstance(state, Tensor) and not state.detach().any())


def state_lost(layer: Any, wanted: Version) -> str:
    """What a Recur or a cell holds that has no place since 0.15; nothing for others."""
    if wanted < SEQUENCES:
        return ""
    if isinstance(layer, Cell) and not is_zero(layer.state0):
        return "holds a first state that was trained, and since Flux 0.15 a cell starts from zeros"
    if isinstance(layer, flux.Recur) and type(layer.cell) not in LAYERS:
        return f"runs {layer.cell!r:.60}, and since Flux 0.15 only Flux's own cells are run by layers of it"
    if isinstance(layer, flux.Recur) and not is_zero(layer.init):
        return "starts from a state of its own, and since Flux 0.15 a layer starts from zeros"
    if isinstance(layer, flux.Recur) and not is_zero(layer.remembered):
        return "remembers a state, which no layer does since Flux 0.15: reset(model) first"
    return ""


def across_steps(model: nn.Module, wanted: Version) -> list[str]:
    """A line for each layer beside a Recur that would not take a sequence step by step."""
    if wanted < SEQUENCES or not any(isinstance(layer, flux.Recur) for layer in model.modules()):
        return []
    found = [(name or "the model", repr(layer)) for name, layer in model.named_modules() if not is_step_by_step(layer)]
    found += [
        (f"{name}.layers[{place}]".lstrip("."), member.__name__)
        for name, layer in model.named_modules()
        for place, member in enumerate(getattr(layer, "layers", None) or ())
        if any(member is function for function in ACROSS_STEPS)
    ]
    why = "to which today's recurrent layers would give whole sequences: convert the parts around it one by one"
    return [f"{name} is {what:.100}, {why}" for name, what in found]


def is_step_by_step(layer: Any) -> bool:
    """Whether a layer gives for a sequence what it gives for each step of it."""
    kind = type(layer)
    return (
        kind not in BY_LAYER or kind in STEP_BY_STEP or (kind in ALONG_FEATURES and bool(ALONG_FEATURES[kind](layer)))
    )


def forget_first_state(cell: Any) -> None:
    """Make of a cell one of 0.15, in place: without its first state, which is zeros; a GRUv3's ``Wh`` with three blocks."""
    for name in cell.states:
        setattr(cell, name, None)
    if isinstance(cell, flux.GRUv3Cell) and cell.Wh.shape[0] == 2 * cell.outputs:
        with torch.no_grad():  # the third block is there since 0.15, and is not used
            cell.Wh = nn.Parameter(torch.cat([cell.Wh, cell.Wh.new_zeros(cell.outputs, cell.outputs)]))
