"""What of a document may be built: its rule for each part, found once.

Strategy: ``audit`` goes over every document below the wanted names, finds its rule and collects every class that nobody
allowed. ``lift`` then uses the very rules that were found here, for the very documents that were seen here. Documents
that are alike (``wire.Alike``) are audited once.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.codec.rule import Rule, Vocabulary
from holdfast.errors import FormatError, LimitError, MissingError, UntrustedError
from holdfast.julia.types import short_name
from holdfast.wire.values import ANY_BLOB, Alike, Blob, Document

CONTAINERS: Final = frozenset({dict, list})
PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Wire values that are Python values as they are; the others go through a rule named after their type."""


@dataclass(slots=True)
class Audited:
    """A document that was looked through: the rule of each part, by the part's identity, and the blobs by name."""

    document: Document
    rules: dict[int, Rule]
    blobs: list[tuple[str, Blob]] = field(default_factory=list)

    @property
    def backrefs(self) -> list[Any]:
        return backrefs_of(self.document)


def backrefs_of(document: Document) -> list[Any]:
    entries = document.get("_backrefs")
    return entries if isinstance(entries, list) else []


def resolve(node: Any, backrefs: list[Any]) -> Any:
    """What ``node`` stands for: itself, or the entry that it refers to. An entry that is a reference is not
    followed."""
    if type(node) is dict and node.get("tag") == "backref" and backrefs:
        number = node.get("ref")
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= len(backrefs):
            raise FormatError(f"a back-reference to entry {number!r} of {len(backrefs)}")
        return backrefs[number - 1]
    return node


def rule_of(node: Any, vocabulary: Vocabulary, backrefs: list[Any]) -> tuple[Rule | None, str]:
    """The rule of one document and the name that it goes by; no rule when the name is not allowed."""
    if type(node) is list:
        return vocabulary.named("tag", "list"), "list"
    tag = node.get("tag")
    if tag == "python":
        rule, name = _python_rule(node.get("type"), vocabulary)
        return (rule or vocabulary.named("tag", "absent") if vocabulary.is_absent(name) else rule), name
    if isinstance(tag, str):
        if "python" in node:
            rule, name = _python_rule(node["python"], vocabulary)
            if rule is not None or not vocabulary.is_absent(name):
                return rule, name
        if tag == "struct" and "type" in node:
            return _struct_rule(node, vocabulary, backrefs)
        rule = vocabulary.named("tag", tag)
        if rule is not None and rule.needs <= node.keys():
            return rule, tag
    return vocabulary.named("tag", "dict"), "dict"


def _python_rule(name: Any, vocabulary: Vocabulary) -> tuple[Rule | None, str]:
    if not isinstance(name, str):
        raise FormatError(f"a Python type is named by {type(name).__name__}, not by a text")
    rule = vocabulary.named("python", name)
    if rule is None and vocabulary.is_absent(name):
        rule = vocabulary.named("absent", name)
    return rule, name


def _struct_rule(node: Document, vocabulary: Vocabulary, backrefs: list[Any]) -> tuple[Rule | None, str]:
    name = type_name(resolve(node.get("type"), backrefs))
    rule = vocabulary.named("struct", name) or vocabulary.named("tag", "struct")
    return rule, name


def type_name(datatype: Any) -> str:
    """The dotted name of a ``datatype`` document without the prefixes that vary by era: ``Base.Dict``, ``Float32``.

    >>> type_name({"tag": "datatype", "name": ["Main", "Base", "Dict"], "params": []})
    'Base.Dict'
    """
    path = datatype.get("name") if type(datatype) is dict and datatype.get("tag") == "datatype" else None
    if type(path) is not list or not all(isinstance(part, str) for part in path):
        return ""
    return short_name(path)


def audit(document: Document, names: Iterable[str], vocabulary: Vocabulary) -> Audited:
    """Look through all that ``names`` reach.

    Raises UntrustedError with every class that is not allowed, MissingError for one whose framework is not installed.
    """
    audited, untrusted, memory = Audited(document, {}), set[str](), _Memory()
    backrefs = backrefs_of(document)
    for name in names:
        root = document[name]
        if type(root) is Alike and id(root.model) in audited.rules:  # as below: there may be thousands
            audited.blobs.append((name, root.blob))
            continue
        stack = [root]
        while stack:
            node = resolve(stack.pop(), backrefs)
            if type(node) is Alike:
                audited.blobs.append((name, node.blob))
                node = node.model
            if type(node) not in CONTAINERS:
                if type(node) is Blob and node.sealed and node is not ANY_BLOB:
                    audited.blobs.append((name, node))
                continue
            if id(node) in audited.rules:
                continue
            rule, known_as = rule_of(node, vocabulary, backrefs)
            if rule is None:
                untrusted.add(known_as)
                rule = vocabulary.named("tag", "dict")
            assert rule is not None
            audited.rules[id(node)] = rule
            if rule.blobs and type(node.get("data")) is dict:
                memory.take(resolve(node["data"], backrefs))
            if type(node) is list:
                children: Collection[Any] = node
            else:
                children = [v for k, v in node.items() if k not in rule.raw] if rule.raw else node.values()
            if PLAIN.issuperset(map(type, children)):
                continue
            for child in children:
                if type(child) is Alike and id(child.model) in audited.rules:
                    audited.blobs.append((name, child.blob))
                elif type(child) not in PLAIN:
                    stack.append(child)
    absent = sorted(filter(vocabulary.is_absent, untrusted))
    if absent:
        raise MissingError(f"loading a {absent[0]}", absent[0].partition(".")[0])
    if untrusted:
        raise UntrustedError(sorted(untrusted))
    return audited


MAX_AGAIN: Final = 32 << 20
"""Bytes of binaries that several arrays may refer to, counted from the second reference on: each may be a copy."""


class _Memory:
    """The binaries that arrays refer to instead of holding them. A small file could say one a million times."""

    def __init__(self) -> None:
        self.met: set[int] = set()
        self.again = 0

    def take(self, blob: Any) -> None:
        if type(blob) is not Blob:
            return
        self.again += blob.nbytes if id(blob) in self.met else 0
        self.met.add(id(blob))
        if self.again > MAX_AGAIN:
            raise LimitError("more arrays refer to one binary than a file may make copies of", blob.offset)
