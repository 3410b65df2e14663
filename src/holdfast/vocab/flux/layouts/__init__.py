"""Every layout that Flux's structs had, as data.

rows.py        what a table is made of
basic.py       layers of one array, layers made of layers
images.py      convolution, pooling
normalise.py   normalisation, dropout
recurrent.py   cells and what runs them, attention
"""

from typing import Any, Final

from holdfast.vocab.flux.layouts.basic import BASIC, CONTAINERS
from holdfast.vocab.flux.layouts.images import CONVOLUTIONS, LARGER, POOLS
from holdfast.vocab.flux.layouts.normalise import DROPOUT, NORMALISATION
from holdfast.vocab.flux.layouts.recurrent import ATTENTION, CELLS, SEQUENCES
from holdfast.vocab.flux.layouts.rows import Layout, Row

__all__ = ["BY_LAYER", "BY_NAME", "LAYOUTS", "Layout", "Row"]

LAYOUTS: Final[tuple[Layout, ...]] = (
    *BASIC,
    *CONTAINERS,
    *CONVOLUTIONS,
    *POOLS,
    *LARGER,
    *NORMALISATION,
    *DROPOUT,
    *CELLS,
    *SEQUENCES,
    *ATTENTION,
)

BY_NAME: Final[dict[str, Layout]] = {layout.name: layout for layout in LAYOUTS}
BY_LAYER: Final[dict[type[Any], Layout]] = {layout.layer: layout for layout in LAYOUTS}
