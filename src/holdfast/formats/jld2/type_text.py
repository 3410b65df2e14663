"""A Julia type as text (``Flux.Dense{typeof(NNlib.relu), Matrix{Float32}}``) as the document of that type.

Strategy: a small strict grammar, read once from left to right with a stack of its own. Nothing is looked up: a name is a
name. A text that is not of the grammar is the name of a type by itself, whole and inert.

    type    = name [ "{" [ param { "," param } ] "}" ]
    param   = type | number | "true" | "false" | ":" word | ":(" text ")" | "typeof(" name ")"
    name    = word { "." word }         a word that begins with "#" takes the rest of the name, dots and all
"""

import re
from functools import cache
from typing import Any, Final

from holdfast.wire.values import INT64_MAX, INT64_MIN, Document

MAX_TEXT: Final = 10_000
"""Characters of a text that are looked at; a name by itself is shorter."""
MAX_NESTING: Final = 60

ROOTS: Final = frozenset({"Core", "Base", "Main", "Tracker"})
"""Modules that the first JLD2 names twice, ``Core.Core.Bool``, under Julia 0.7."""

PLAIN_NAME: Final = re.compile(r"[^{}(),:\s]+")
TOKEN: Final = re.compile(r"\s*(typeof\(|:\(|[{},)]|:?[^{}(),:\s]+)")
NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


def datatype_of(text: str) -> Document:
    """The document of the type that ``text`` names.

    >>> datatype_of("Flux.Dense{typeof(NNlib.relu),2}")["params"][0]
    {'tag': 'datatype', 'name': ['NNlib', '#relu'], 'params': []}
    >>> datatype_of("not a {type")
    {'tag': 'datatype', 'name': ['not a {type'], 'params': []}
    """
    if PLAIN_NAME.fullmatch(text):
        return named(path_of(text))
    found = _parsed(text) if len(text) <= MAX_TEXT else None
    return found if found is not None else named([text])


def named(path: list[str], params: list[Any] | None = None) -> Document:
    """The document of a type with that name."""
    return {"tag": "datatype", "name": path, "params": params if params is not None else []}


@cache
def core(name: str) -> Document:
    """The document of a type of Julia's Core, always the same one."""
    return named(["Core", name])


def path_of(name: str) -> list[str]:
    """The words of a dotted name. What begins with ``#`` is a function's own name, which may hold dots.

    >>> path_of("NNlib.#relu"), path_of("Base.#.+"), path_of("Tuple")
    (['NNlib', '#relu'], ['Base', '#.+'], ['Core', 'Tuple'])
    """
    head, mark, tail = name.partition(".#")
    if name.startswith("#"):
        return [name]
    words = head.split(".") + ([f"#{tail}"] if mark else [])
    if "" in words:
        return [name]
    if len(words) > 2 and words[0] == words[1] in ROOTS:
        words = words[1:]
    return ["Core", name] if words in (["Tuple"], ["NTuple"]) else words


def _parsed(text: str) -> Document | None:
    """The document of ``text``; None when it is not of the grammar."""
    tokens = _tokens(text)
    if tokens is None:
        return None
    done: list[Any] = []
    stack: list[list[Any]] = [done]
    wants_value = True
    for place, token in enumerate(tokens):
        if token == "{" and not wants_value and isinstance(stack[-1][-1], dict) and len(stack) < MAX_NESTING:
            opened = stack[-1][-1]
            if opened["tag"] != "datatype" or tokens[place - 1] in ("}", ")"):
                return None
            stack.append(opened["params"])
            wants_value = True
        elif token == "}" and len(stack) > 1 and (not wants_value or not stack[-1]):
            stack.pop()
            wants_value = False
        elif token == "," and len(stack) > 1 and not wants_value:
            wants_value = True
        elif wants_value and (value := _value(token)) is not None:
            stack[-1].append(value)
            wants_value = False
        else:
            return None
    whole = len(stack) == 1 and len(done) == 1 and isinstance(done[0], dict) and done[0]["tag"] == "datatype"
    return done[0] if whole else None


def _tokens(text: str) -> list[str] | None:
    """The words and signs of ``text``; ``typeof(name)`` is one word."""
    tokens: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if match is None:
            return None
        token, at = match[1], match.end()
        if token in ("typeof(", ":("):
            end = text.find(")", at)
            if end < 0:
                return None
            token, at = token + text[at : end + 1], end + 1
        tokens.append(token)
    return tokens


def _value(token: str) -> Any:
    """One parameter; None for what is none."""
    if token in ("{", "}", ",", ")"):
        return None
    if NUMBER.fullmatch(token):
        number = int(token)
        return number if INT64_MIN <= number <= INT64_MAX else None
    if token in ("true", "false"):
        return token == "true"
    if token.startswith(":"):
        return {"tag": "symbol", "name": token[2:-1] if token.startswith(":(") else token[1:]}
    if token.startswith("typeof("):
        *module, function = path_of(token[7:-1].strip())
        return named([*module, f"#{function}"])
    return named(path_of(token))
