"""Dictionaries of a file's names as documents: a bare document where the names allow it, a Julia Dict where not."""

from collections.abc import Iterable
from typing import Any, Final

from holdfast.formats.document.arrays import plain
from holdfast.vocab.containers import is_name
from holdfast.vocab.types import DICT
from holdfast.wire.values import Document

TYPE: Final[Document] = plain(DICT)
"""The type of such a Dict, as a reader has it and not as a writer."""


def table(names: Iterable[str]) -> tuple[Document, Any]:
    """The document of a dictionary with ``names``, and where their values go: by name, or by position in a list.

    A name such as ``tag`` would make a bare document another value than a dictionary.

    >>> table(["weight"])
    ({'weight': None}, {'weight': None})
    >>> document, values = table(["tag", "data"])
    >>> document["tag"], document["data"], values
    ('struct', [['tag', 'data'], [None, None]], [None, None])
    """
    keys = list(names)
    if all(map(is_name, keys)):
        document: Document = dict.fromkeys(keys)
        return document, document
    values: list[Any] = [None] * len(keys)
    return {"tag": "struct", "type": TYPE, "data": [keys, values], "python": "dict"}, values
