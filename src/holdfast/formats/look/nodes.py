"""Reading parts of documents as they stand: lists, sizes, element types, names of types, single numbers.

Strategy: every look at a part goes through ``resolve``, because any part may be a back-reference. What is not as it
should be raises FormatError, TypeError, KeyError and the like: the caller shows the document as it is then.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from holdfast.codec.audit import audit, resolve, type_name
from holdfast.codec.lift import lift
from holdfast.codec.rule import Options, Vocabulary
from holdfast.errors import FormatError, HoldfastError
from holdfast.julia.types import BITS, COMPLEX, FOREIGN
from holdfast.wire.values import Blob, Document, Int32, RawText

MAX_SMALL: Final = 100
"""Wire values that one number, date or the like is made of at most; a DateTime of Julia's is 38."""
MAX_TEXT: Final = 1000
"""Characters of a text that are kept."""
MAX_PARAMETERS: Final = 8
"""Parameters of a Julia type that are shown."""

PLAIN: Final = frozenset({str, int, float, bool, type(None), Int32, RawText})
"""Wire values that are one value."""


class Nodes:
    """The documents of one file, with the back-references that they share."""

    def __init__(self, backrefs: list[Any], vocabulary: Vocabulary) -> None:
        self.backrefs, self.vocabulary = backrefs, vocabulary

    def resolve(self, node: Any) -> Any:
        """What ``node`` stands for."""
        return resolve(node, self.backrefs)

    def items(self, node: Any) -> list[Any]:
        """``node`` as a list. Raises FormatError when it is none."""
        items = self.resolve(node)
        if type(items) is not list:
            raise FormatError("not a list")
        return items

    def elements(self, node: Any, most: int = 1) -> Sequence[Any]:
        """The elements of a Julia vector: documents where it is a list, numbers where it is an array of bits.

        A vector of nothing takes no bytes: it may say up to ``most``. Raises FormatError for more.
        """
        node = self.resolve(node)
        if type(node) is list:
            return node
        data = node["data"]
        if type(data) is list:
            return data
        dtype = self.dtype(node)
        if dtype is None:  # a vector of nothing has no bytes
            (count,) = self.size(node)
            if data.nbytes or count > most:
                raise FormatError("elements that are not in the file")
            return [None] * count
        values: list[Any] = np.frombuffer(data.data, dtype).tolist()
        return values

    def dtype(self, node: Document) -> np.dtype[Any] | None:
        """NumPy's dtype of the elements of an array document."""
        type_ = self.resolve(node["type"])
        name = type_name(type_)
        if name == "Base.Complex":
            return COMPLEX.get(type_name(self.resolve(self.items(type_["params"])[0])))
        return BITS.get(name) or FOREIGN.get(name)

    def size(self, node: Document) -> tuple[int, ...]:
        """The size of an array document, in Julia's order."""
        return tuple(int(self.resolve(n)) for n in self.elements(node["size"]))

    def julia_type(self, node: Any, depth: int = 4) -> str:
        """A Julia type as Julia writes it, without going deep.

        >>> number = {"tag": "datatype", "name": ["Core", "Float32"], "params": []}
        >>> Nodes([], Vocabulary()).julia_type({"tag": "datatype", "name": ["Core", "Array"], "params": [number, 2]})
        'Array{Float32,2}'
        """
        node = self.resolve(node)
        if type(node) in (int, Int32):
            return str(node)
        if type(node) is dict and node.get("tag") == "unionall" and depth:
            return self.julia_type(node["body"], depth - 1)
        name = type_name(node).rpartition(".")[2] or "?"
        params = node.get("params") if type(node) is dict and depth else None
        shown = [self.julia_type(p, depth - 1) for p in params[:MAX_PARAMETERS]] if type(params) is list else []
        rest = ["…"] if type(params) is list and len(params) > MAX_PARAMETERS else []
        return f"{name}{{{','.join(shown + rest)}}}" if shown else name

    def small(self, node: Any) -> Any:
        """The value of a number, date or the like; None for what is made of more than such a value is."""
        if type(node) in PLAIN:
            return node
        stack, count = [node], 1
        while stack:
            child = self.resolve(stack.pop())
            if type(child) in (dict, list):
                count += len(child)
                stack.extend([] if count > MAX_SMALL else child.values() if type(child) is dict else child)
            if count > MAX_SMALL or (type(child) is Blob and child.nbytes > MAX_TEXT):
                return None
        document = {"value": node, "_backrefs": self.backrefs}
        try:
            return lift(audit(document, ["value"], self.vocabulary), ["value"], self.vocabulary, Options())["value"]
        except HoldfastError:
            return None
