"""Flux's structs, functions and optimisers as the modules of ``holdfast.flux``.

layouts.py    every layout that the structs had, as a table
fields.py     what a field is, in both directions
layers.py     struct <-> layer, by the table
functions.py  Julia's functions by name
arrays.py     Julia's arrays as parameters, on the same memory
types.py      the Julia types of what stands in a struct
"""

from holdfast.codec.rule import Rule, Vocabulary
from holdfast.vocab.flux import functions, layers


def vocabulary() -> Vocabulary:
    named = [Rule("struct", name, lift=lambda _, f=function: f) for name, function in functions.BY_NAME.items()]
    return Vocabulary([*layers.RULES, *named])
