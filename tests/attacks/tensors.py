"""Memory: views that reach outside, dtypes that are pointers, sizes that wrap, copies that multiply."""

from functools import partial
from typing import Any

from attacks.build import (
    BOOL,
    UINT8,
    array,
    array_blob,
    blob,
    floats,
    module,
    python,
    ref,
    sealed,
    struct_,
    tensor,
    tuple_,
    type_,
    view,
    x,
)
from attacks.case import EITHER, FORMAT, LIMIT, READ, REFUSED, UNTRUSTED, case
from attacks.case import give as give_case

VIEW = "vocab/torch/tensors.py: a view lies inside its base, in numbers that cannot wrap"
DTYPE = "vocab/dtypes.py: a dtype is one of a table, or made of such"
BYTES = "vocab/numpy.py: shape and dtype say exactly as many bytes as there are"
KEYS = "vocab/torch/tensors.py: a dtype of a table, carried by its width"
CHECKED = "codec/lift.py: a rule that does not find what it expects is a FormatError"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)


def described(dtype: Any, data: bytes = bytes(8), **extra: Any) -> bytes:
    """A NumPy array whose dtype is said by the file."""
    return x(array(UINT8, [len(data)], blob(data), python="numpy.ndarray", dtype=dtype, **extra))


# -- dtypes -----------------------------------------------------------------------------------------------------------

for label, dtype in {
    "object": "O",
    "object_name": "object",
    "object_list": ["O", 8],
    "pointer": "P",
    "unknown": "float7",
    "code": "__import__('os').system('id')",
    "record": "i4,(2,2)f8",
    "void": "V",
    "number": 5,
    "null": None,
    "empty": [],
    "huge_text": ["U", 2**31],
    "negative_bytes": ["S", -1],
    "struct_of_objects": ["struct", 8, [["a", "object", 0, []]]],
    "struct_offset_neg": ["struct", 8, [["a", "uint8", -8, []]]],
    "struct_offset_2_31": ["struct", 8, [["a", "uint8", 2**31 - 8, []]]],
    "struct_size_neg": ["struct", -8, [["a", "uint8", 0, []]]],
    "struct_past_end": ["struct", 8, [["a", "float64", 4, []]]],
    "struct_shape_huge": ["struct", 8, [["a", "uint8", 0, [2**31, 2**33]]]],
    "struct_shape_neg": ["struct", 8, [["a", "uint8", 0, [-1]]]],
    "struct_name_twice": ["struct", 8, [["a", "uint8", 0, []], ["a", "uint8", 1, []]]],
    "struct_entry_short": ["struct", 8, [["a"]]],
    "struct_offset_text": ["struct", 8, [["a", "uint8", "0", []]]],
}.items():
    bad(f"dtype_{label}", f"an array of dtype {str(dtype)[:60]!r}", described(dtype, shape=[1]), check=DTYPE)
DEEP: Any = "uint8"
for _ in range(150):
    DEEP = ["struct", 1, [["a", DEEP, 0, []]]]
give(
    "dtype_struct_150_deep",
    "a structure in a structure, 150 times",
    described(DEEP, b"a", shape=[1]),
    must=EITHER,
    check=DTYPE,
)
read(
    "dtype_struct_overlap",
    "two fields on the same bytes",
    described(["struct", 8, [["a", "float64", 0, []], ["b", "int64", 0, []]]], shape=[1]),
    check=DTYPE,
)
bad("dtype_shape_too_large", "a shape beyond the bytes", described(["S", 4], shape=[9]), check=BYTES)
bad("dtype_shape_wraps", "a shape that wraps to nothing", described("uint8", b"", shape=[2**32, 2**32]), check=BYTES)
give(
    "dtype_no_bytes_many",
    "10^15 elements of no bytes",
    described(["V", 0], b"", shape=[10**15]),
    must=EITHER,
    check=BYTES,
)
give(
    "dtype_no_text_many",
    "10^15 texts of no characters",
    described(["U", 0], b"", shape=[10**15]),
    must=EITHER,
    check=BYTES,
)
bad(
    "dtype_wider_than_elements",
    "eight-byte elements out of single bytes",
    described("float64"),
    check="vocab/numpy.py: elements of the dtype's width",
)
bad(
    "ndarray_of_list",
    "a NumPy array of a list",
    x(array(UINT8, [1], [1], python="numpy.ndarray")),
    check="vocab/numpy.py: none of NumPy's",
)
bad("ndarray_shape_text", "a shape that is a text", described("uint8", shape="8"), check=BYTES)
bad(
    "generic_of_array",
    "a NumPy scalar of nine elements",
    x(python("numpy.generic", state=floats(9))),
    check="vocab/numpy.py: a scalar has no dimensions",
)
bad("times_of_unknown_unit", "a time in light years", described("datetime64[ly]"), check=DTYPE)

# -- views ------------------------------------------------------------------------------------------------------------

for label, parts in {
    "offset_neg": (-4, [1], [1]),
    "offset_past_end": (400, [1], [1]),
    "offset_max": (2**63 - 1, [1], [1]),
    "offset_wraps": (-(2**63), [2], [1]),
    "offset_unaligned": (2, [1], [1]),
    "offset_text": ("0", [1], [1]),
    "offset_bool": (True, [1], [1]),
    "size_past_end": (0, [101], [1]),
    "size_neg": (0, [-1], [1]),
    "size_neg_neg": (0, [-2, -2], [1, 1]),
    "size_2_62": (0, [2**62], [4]),
    "size_wraps": (0, [2**32, 2**32], [1, 1]),
    "size_text": (0, "10", [1]),
    "stride_past_end": (0, [2], [100]),
    "stride_neg": (99 * 4, [2], [-1]),
    "stride_2_62": (0, [2], [2**62]),
    "stride_wraps": (0, [2**31, 2], [2**33, 1]),
    "strides_too_few": (0, [2, 2], [1]),
    "strides_too_many": (0, [2], [1, 1]),
    "expand_2_62": (0, [2**62, 4], [0, 0]),
}.items():
    bad(
        f"view_{label}",
        f"a view from byte {parts[0]!r} of size {parts[1]} and strides {parts[2]} on 100 numbers",
        x(view(ref(1), *parts), tensor(100)),
        check=VIEW,
    )
bad(
    "view_1m_axes",
    "a view of a million axes",
    lambda: x(view(ref(1), 0, [1] * 100_000, [1] * 100_000), tensor(100)),
    check="vocab/torch/layouts.py: at most torch's axes",
    must=LIMIT,
)
bad("view_of_text", "a view of a text", x(view("memory", 0, [1], [1])), check=VIEW)
bad("view_of_array", "a view of a NumPy array", x(view(ref(1), 0, [1], [1]), floats(4)), check=VIEW)
bad("view_of_module", "a view of a layer", x(view(ref(1), 0, [1], [1]), module("ReLU")), check=VIEW)
bad(
    "view_of_itself",
    "a view of itself",
    x(ref(1), view(ref(1), 0, [1], [1])),
    check="codec/lift.py: a cycle closes only through a value that can be filled later",
)
bad(
    "view_of_view_of_it",
    "two views of each other",
    x(ref(1), view(ref(2), 0, [1], [1]), view(ref(1), 0, [1], [1])),
    check="codec/lift.py: a cycle closes only through a value that can be filled later",
)
bad(
    "view_leaves_inner_view",
    "a view of a view that leaves the inner one",
    x(view(ref(1), 0, [50], [1]), view(ref(2), 0, [4], [1]), tensor(100)),
    check=VIEW,
)
bad("view_dtype_unknown", "a view of dtype 'object'", x(view(ref(1), 0, [1], [1], "object"), tensor(4)), check=KEYS)
bad("view_dtype_quantised", "a view of a quantised dtype", x(view(ref(1), 0, [1], [1], "qint8"), tensor(4)), check=KEYS)
bad("view_dtype_number", "a view of dtype 5", x(view(ref(1), 0, [1], [1], 5), tensor(4)), check=KEYS)
bad(
    "view_bool_2",
    "a view that takes floats for bools",
    x(view(ref(1), 0, [4], [1], "bool"), array(UINT8, [4], blob(b"\0\1\2\3"), python="torch.Tensor")),
    check="vocab/torch/tensors.py: a bool is 0 or 1",
)
read(
    "view_expand",
    "a number seen a billion times: no memory",
    x(view(ref(1), 0, [10**9], [0]), tensor(100)),
    check=VIEW,
    good=lambda v: v["x"].numel() == 10**9,
)
read(
    "view_expand_bool",
    "a bool seen a billion times: looked at once",
    x(view(ref(1), 0, [10**9], [0], "bool"), array(BOOL, [4], blob(b"\0\1\1\0"), python="torch.Tensor")),
    check="vocab/torch/tensors.py: each byte is looked at once",
)
read(
    "view_3k",
    "3,000 views of one memory",
    x([view(ref(1), 0, [100], [1]) for _ in range(3_000)], tensor(100)),
    check=VIEW,
)
case(
    "view_bools_many",
    "300 views of a megabyte of bools: each looks at all of it",
    READ,
    "vocab/torch/tensors.py: a bool is 0 or 1",
)(
    lambda: x(
        [view(ref(1), 0, [1 << 20], [1], "bool") for _ in range(300)],
        array(BOOL, [1 << 20], blob(bytes(1 << 20)), python="torch.Tensor"),
    )
)

# -- tensors ----------------------------------------------------------------------------------------------------------

bad("tensor_dtype_unknown", "a tensor of dtype float7", x(tensor(2, dtype="float7")), check=KEYS)
bad("tensor_dtype_native", "a tensor that says a dtype it need not say", x(tensor(2, dtype="float32")), check=KEYS)
bad("tensor_dtype_quint", "a quantised tensor, whose zero point is anybody's", x(tensor(2, dtype="quint8")), check=KEYS)
bad(
    "tensor_dtype_wider",
    "complex numbers carried by bytes",
    x(array(UINT8, [4], blob(bytes(4)), python="torch.Tensor", dtype="complex32")),
    check=KEYS,
)
bad("tensor_dtype_unhashable", "a dtype that is a list", x(tensor(2, dtype=["bfloat16"])), check=CHECKED)
bad(
    "tensor_bool_2",
    "a bool that is neither, in a tensor",
    x(array(BOOL, [2], blob(b"\1\2"), python="torch.Tensor")),
    check="vocab/numpy.py: a Bool is 0 or 1",
)
bad("tensor_of_nothing", "a tensor without memory", x(python("torch.Tensor")), check=CHECKED)
bad(
    "tensor_of_list",
    "a tensor of a list",
    x(array(type_("Core.Any"), [2], [1, 2], python="torch.Tensor")),
    check="vocab/torch/layouts.py: the memory is an array",
)
bad(
    "tensor_of_text_array",
    "a tensor of texts",
    x(
        struct_(type_("Main.Base.PermutedDimsArrays.PermutedDimsArray", 1, 2, tuple_(2, 1)), "text")
        | {"python": "torch.Tensor"}
    ),
    check="vocab/torch/layouts.py: the memory is an array",
)
bad(
    "tensor_permuted_badly",
    "an order of axes that does not exist",
    x(
        struct_(type_("Main.Base.PermutedDimsArrays.PermutedDimsArray", 1, 2, tuple_(7, 7)), floats(2, 2))
        | {"python": "torch.Tensor"}
    ),
    check="vocab/torch/layouts.py: each axis once",
)
bad(
    "tensor_strides_outside",
    "strides that reach outside",
    x(tensor(2, 2, strides=[100, 1])),
    check="vocab/torch/layouts.py: strides stay inside",
)
bad(
    "tensor_strides_neg",
    "strides that go backwards",
    x(tensor(2, 2, strides=[-1, 1])),
    check="vocab/torch/layouts.py: none below 0",
)
bad(
    "tensor_strides_wrap",
    "strides of 2^62",
    x(tensor(2, 2, strides=[2**62, 2**62])),
    check="vocab/torch/layouts.py: strides stay inside",
)
bad(
    "tensor_requires_grad_int",
    "whole numbers that require a gradient",
    x(array(UINT8, [2], blob(b"ab"), python="torch.Tensor", requires_grad=True)),
    check="vocab/torch/tensors.py: only what can have a gradient",
)
bad(
    "tensor_requires_grad_text",
    "a gradient that is 'yes'",
    x(tensor(2, requires_grad="yes")),
    check="vocab/torch/tensors.py: only what can have a gradient",
)
bad(
    "parameter_of_ints",
    "a parameter of whole numbers",
    x(array(UINT8, [2], blob(b"ab"), python="torch.nn.Parameter")),
    check="vocab/torch/tensors.py: only what can have a gradient",
    must=EITHER,
)
for kind in (
    "torch.sparse_coo_tensor",
    "torch.sparse_csr_tensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_qtensor",
    "torch.nested.nested_tensor",
    "torch.FakeTensor",
):
    give(
        f"kind_{kind.rpartition('.')[2].strip('_')}",
        f"a {kind}, whose indices nobody checks",
        x(python(kind, state=[floats(2), floats(2)])),
        must=UNTRUSTED,
        check="vocab/torch/tensors.py: there is no rule for it",
    )
bad(
    "size_of_text",
    "a torch.Size of texts",
    x(tuple_("a") | {"python": "torch.Size"}),
    check="vocab/torch/layouts.py: whole numbers",
)
bad(
    "size_neg",
    "a torch.Size of -1",
    x(tuple_(-1) | {"python": "torch.Size"}),
    check="vocab/torch/layouts.py: whole numbers",
)
bad(
    "dtype_constant_unknown",
    "a torch.dtype that is none",
    x(python("torch.dtype", state="__class__")),
    check="vocab/torch/values.py: a constant of a table",
)
bad(
    "tensor_1_axis_of_65",
    "a tensor of 65 axes",
    x(tensor(*[1] * 65)),
    check="vocab/dtypes.py: at most 64 axes",
    must=LIMIT,
)

# -- pieces and copies ------------------------------------------------------------------------------------------------


def slabs(pieces: list[Any], size: Any, **extra: Any) -> Any:
    return python("numpy.ndarray", slabs=pieces, size=size, **{"order": "C", "carrier": "uint8"} | extra)


PIECE = array(UINT8, [1000], blob(bytes(1000)))
bad("slabs_size_lies", "pieces that do not add up", x(slabs([PIECE], [10**12])), check="vocab/numpy.py: pieces add up")
bad("slabs_order", "an order of its own", x(slabs([PIECE], [1000], order="X")), check="vocab/numpy.py: pieces add up")
bad(
    "slabs_of_floats",
    "pieces that are not bytes",
    x(slabs([floats(250)], [1000])),
    check="vocab/numpy.py: pieces are bytes",
)
bad("slabs_of_text", "pieces that are a text", x(slabs("abc", [3])), check="vocab/numpy.py: pieces are bytes")
bad("slabs_carrier_object", "pieces that carry objects", x(slabs([PIECE], [125], carrier="object")), check=DTYPE)
bad("slabs_none", "no pieces at all", x(slabs([], [0])), check=CHECKED)
case(
    "slabs_one_piece_many_times",
    "a megabyte that is said 20,000 times to be a piece: 20 GB",
    FORMAT,
    "vocab/numpy.py: a piece stands once",
)(lambda: x(slabs([ref(1)] * 20_000, [20_000 << 20]), array(UINT8, [1 << 20], blob(bytes(1 << 20)))))
COPIES = "codec/lift.py: a binary is copied once, however often it is referred to"
MULTIPLY = "codec/audit.py: what refers to a binary adds up to a limit"
case("bytes_many_references", "a megabyte of bytes, referred to 5,000 times: 5 GB if each is a copy", READ, COPIES)(
    lambda: x([ref(1)] * 5_000, blob(bytes(1 << 20)))
)
for kind, more in (
    ("inert", {}),
    ("bytearray", {"python": "bytearray"}),
    ("array_array", {"python": "array.array", "typecode": "B"}),
    ("swapped", {"python": "numpy.ndarray", "dtype": "uint16", "byteorder": "swapped"}),
    ("shaped", {"python": "numpy.ndarray", "dtype": ["S", 1], "shape": [1 << 20]}),
):

    def multiplied(kind: str = kind, more: Any = more) -> bytes:
        element = type_("Main.Odd") if kind == "inert" else type_("Core.UInt16") if kind == "swapped" else UINT8
        size = [1 << 19] if kind == "swapped" else [1 << 20]
        return x([array(element, size, ref(1), **more) for _ in range(500)], blob(bytes(1 << 20)))

    case(f"copies_{kind}", f"500 arrays ({kind}) on one megabyte, each of which is a copy: 500 MB", REFUSED, MULTIPLY)(
        multiplied
    )
case("sealed_blob_many_references", "the same binary with a checksum, compared 500 times", REFUSED, MULTIPLY)(
    lambda: sealed(
        {
            "x": [array(UINT8, [1 << 20], ref(1)) for _ in range(500)],
            "_backrefs": [{"data": array_blob(bytes(1 << 20))}],
        }
    )
)
