"""Makes bytes and documents, right and wrong ones, in as few words as can be."""

import struct
from typing import Any

from holdfast.wire.checksum import seal
from holdfast.wire.plan import Plan, plan_document
from holdfast.wire.values import Blob

Document = dict[str, Any]

# -- raw BSON ---------------------------------------------------------------------------------------------------------


def element(kind: int, name: bytes, payload: bytes = b"") -> bytes:
    """One element: type, name, payload."""
    return bytes([kind]) + name + b"\0" + payload


def raw(*elements: bytes, length: int | None = None, end: bytes = b"\0") -> bytes:
    """A document of ``elements``; ``length`` when it is to lie."""
    body = b"".join(elements)
    whole = 4 + len(body) + len(end)
    return struct.pack("<I", (whole if length is None else length) & 0xFFFFFFFF) + body + end


def text(data: bytes, length: int | None = None) -> bytes:
    """The payload of a string."""
    return struct.pack("<i", len(data) + 1 if length is None else length) + data + b"\0"


def binary(data: bytes, length: int | None = None, subtype: int = 0) -> bytes:
    """The payload of a binary."""
    return struct.pack("<i", len(data) if length is None else length) + bytes([subtype]) + data


def nested(depth: int) -> bytes:
    """Documents inside documents, made from the inside out without being quadratic."""
    opening = bytearray()
    size = 5 + depth * 8
    for _ in range(depth):
        opening += struct.pack("<I", size) + b"\x03d\0"
        size -= 8
    return bytes(opening) + b"\5\0\0\0\0" + bytes(depth)


# -- documents --------------------------------------------------------------------------------------------------------


def plain(document: Document) -> bytes:
    """A file as BSON.jl writes it: without checksums."""
    return b"".join(plan_document(document, trailer=False).buffers())


def sealed(document: Document) -> bytes:
    """A file with right checksums: whoever can write a file can write those."""
    return b"".join(sealed_plan(document).buffers())


def sealed_plan(document: Document) -> Plan:
    plan = plan_document(document)
    seal(plan)
    return plan


def x(value: Any, *backrefs: Any) -> bytes:
    """A file that holds ``value`` as ``x``."""
    return plain({"x": value, **({"_backrefs": list(backrefs)} if backrefs else {})})


def blob(data: bytes = b"") -> Blob:
    return Blob(memoryview(data))


def array_blob(data: bytes) -> Blob:
    """Array data with a checksum."""
    return Blob(memoryview(data), sealed=True)


def ref(number: Any) -> Document:
    return {"tag": "backref", "ref": number}


def type_(name: str, *params: Any) -> Document:
    """A Julia type: ``type_("Main.Base.Dict", …)``."""
    return {"tag": "datatype", "params": list(params), "name": name.split(".")}


FLOAT32 = type_("Core.Float32")
UINT8 = type_("Core.UInt8")
BOOL = type_("Core.Bool")
ANY = type_("Core.Any")
NOTHING = type_("Core.Nothing")


def struct_(name: Any, *fields: Any) -> Document:
    """A Julia struct of these fields."""
    return {"tag": "struct", "type": type_(name) if isinstance(name, str) else name, "data": list(fields)}


def array(element_type: Document, size: Any, data: Any, **extra: Any) -> Document:
    return {"tag": "array", "type": element_type, "size": size, "data": data, **extra}


def floats(*size: int, **extra: Any) -> Document:
    """An array of zeros, as big as it says."""
    count = 1
    for length in size:
        count *= length
    return array(FLOAT32, list(size), blob(bytes(4 * count)), **extra)


def python(name: str, **parts: Any) -> Document:
    """What only Python has."""
    return {"tag": "python", "type": name, **parts}


def julia_dict(keys: Any, values: Any, **extra: Any) -> Document:
    return struct_(type_("Main.Base.Dict", ANY, ANY), keys, values) | extra


def python_dict(keys: Any, values: Any) -> Document:
    return julia_dict(keys, values, python="dict")


def tuple_(*items: Any) -> Document:
    return {"tag": "tuple", "data": list(items)}


def tensor(*size: int, **extra: Any) -> Document:
    return floats(*size, python="torch.Tensor", **extra)


def view(base: Any, offset: Any, size: Any, strides: Any, dtype: Any = "float32") -> Document:
    return python("torch.Tensor", base=base, offset=offset, size=size, strides=strides, dtype=dtype)


def module(name: str, training: Any = True, **sections: Any) -> Document:
    return python(f"torch.nn.{name}", state={"training": training, **sections})


def parameter(*size: int) -> Document:
    return floats(*size, python="torch.nn.Parameter")


def optimiser(name: str, groups: Any = None, state: Any = None, **sections: Any) -> Document:
    groups = [{"params": [ref(1)], "lr": 0.1}] if groups is None else groups
    parts = {"defaults": {"lr": 0.1}, "param_groups": groups, "state": [] if state is None else state, **sections}
    return python(f"torch.optim.{name}", state=parts)
