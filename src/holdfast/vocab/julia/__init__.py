"""Julia's values: BSON.jl's tags and the structs of Julia's Base that have a Python counterpart.

Strategy: a struct comes back as the Python value that is written as the very same Julia type (a Rational{Int64} as
Fraction); where the Julia type says more, as a subclass that remembers it, and otherwise as an inert ``Struct``.

tags.py     structs, types, symbols, references
numbers.py  complex, rational, wide ints, characters, ranges
dates.py    dates, times, UUIDs
tables.py   dictionaries, sets, named tuples
lost.py     values that are not in the file
"""

from typing import Final

from holdfast.codec.rule import Rule
from holdfast.vocab.julia.dates import TIMES, lower_datetime, lower_time
from holdfast.vocab.julia.lost import LOST
from holdfast.vocab.julia.numbers import NUMBERS
from holdfast.vocab.julia.tables import TABLES, nothings
from holdfast.vocab.julia.tags import TAGS, struct

__all__ = ["RULES", "lower_datetime", "lower_time", "nothings", "struct"]

RULES: Final[list[Rule]] = [*TAGS, *NUMBERS, *TIMES, *TABLES, *LOST]
