"""Flux's structs, functions and optimisers as the modules of ``holdfast.flux``.

layouts/            every layout that the structs had, as tables
eras.py             which version of Flux wrote a file
fields.py           what a field is, in both directions
layers.py           struct -> layer
lowering.py         layer -> struct
functions.py        Julia's functions by name
julia_functions.py  those that ``holdfast.flux`` has no name for
code.py             Julia code that Python does not have
arrays.py           Julia's arrays as tensors, on the same memory
optimiser_layouts.py, optimisers.py  Flux's optimisers, bound to the parameters
params.py           ``Flux.params(model)``
trees.py            ``Flux.setup(rule, model)``, joined with its model
kept_trees.py       the tree that an optimiser came from and goes back into
today.py            a model in the layouts of another Flux
unrolled.py         Recur as the recurrent layers of 0.15 and later
tracked.py          tensors as what they came in
types.py            the Julia types of what stands in a struct
"""

from holdfast.codec.rule import Vocabulary
from holdfast.vocab.flux import arrays, functions, layers, optimisers, params, trees


def vocabulary() -> Vocabulary:
    """The rules of Flux's values."""
    return Vocabulary([*arrays.RULES, *layers.RULES, *functions.RULES, *optimisers.RULES, *params.RULES, *trees.RULES])
