"""Julia's side: tags that lie, and code in disguise."""

from functools import partial
from typing import Any

from attacks.build import (
    ANY,
    BOOL,
    FLOAT32,
    blob,
    julia_dict,
    plain,
    python_dict,
    ref,
    struct_,
    tuple_,
    type_,
    x,
)
from attacks.case import EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case
from holdfast.julia import Ref, Struct

INERT = "vocab/julia/tags.py: what is not known is data: names and fields"
FIELDS = "codec/lift.py: a rule that does not find what it expects is a FormatError"
REFERENCE = "codec/lift.py: a reference is a whole number between 1 and the number of entries"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)

# -- code in disguise -------------------------------------------------------------------------------------------------

RUN = {"tag": "ref", "path": ["Main", "Base", "run"]}
read(
    "ref_base_run",
    "a reference to Julia's function that runs commands",
    x(RUN),
    check=INERT,
    good=lambda v: type(v["x"]) is Ref,
)
read(
    "ref_python_names",
    "the same with Python's names",
    x({"tag": "ref", "path": ["os", "system"]}),
    check=INERT,
    good=lambda v: type(v["x"]) is Ref,
)
read(
    "subarray_broadcasted_run",
    "the known exploit of BSON.jl: convert calls a Broadcasted whose function is run",
    x(
        struct_(
            type_("Main.Base.SubArray", FLOAT32, 1),
            struct_(
                type_("Main.Base.Broadcast.Broadcasted"),
                RUN,
                tuple_(struct_(type_("Main.Base.Cmd"), ["cat", "/etc/passwd"])),
                tuple_(),
            ),
            tuple_(1),
        )
    ),
    check=INERT,
    good=lambda v: type(v["x"]) is Struct,
)
CLOSURE = {
    "tag": "jl_anonymous",
    "params": [],
    "typename": struct_(
        type_("Core.TypeName"),
        {"tag": "symbol", "name": "#1#2"},
        {"tag": "symbol", "name": "#1"},
        [struct_(type_("Core.Method"), {"tag": "symbol", "name": "f"}, RUN, "/etc/passwd", 1)],
    ),
}
read(
    "jl_anonymous",
    "a closure with its method table: code, if anybody built it",
    x({"tag": "struct", "type": CLOSURE, "data": []}),
    check=INERT,
    good=lambda v: type(v["x"]) is Struct,
)
read(
    "method_struct",
    "a Method, whose code BSON.jl would compile",
    x(struct_(type_("Core.Method"), *[None] * 20)),
    check=INERT,
    good=lambda v: type(v["x"]) is Struct,
)
read(
    "code_info_struct",
    "a CodeInfo full of expressions",
    x(struct_(type_("Core.CodeInfo"), [struct_(type_("Core.Expr"), {"tag": "symbol", "name": "call"}, [RUN])])),
    check=INERT,
    good=lambda v: type(v["x"]) is Struct,
)
read("typename_struct", "a TypeName alone", x(CLOSURE["typename"]), check=INERT, good=lambda v: type(v["x"]) is Struct)
read(
    "generated_finalizer",
    "a struct whose finalizer would run",
    x(struct_(type_("Main.Base.GenericIOBuffer"), blob(b"x"), True, False)),
    check=INERT,
)
bad(
    "anonymous_typename_is_number",
    "a closure without a TypeName, looked at by name",
    x({"tag": "jl_anonymous", "params": 5, "typename": 5}),
    check=FIELDS,
    must=READ,
)
read(
    "anonymous_methods_cycle",
    "a closure whose method list holds itself: the search for its source must end",
    x(
        {
            "tag": "struct",
            "type": {"tag": "jl_anonymous", "params": [], "typename": struct_(type_("Core.TypeName"), 1, 2, ref(1))},
            "data": [],
        },
        [ref(1), ref(1)],
    ),
    check="julia/values.py: the search takes a bounded number of steps",
)

# -- types ------------------------------------------------------------------------------------------------------------

read(
    "datatype_50k_parameters",
    "a type with 50,000 parameters",
    lambda: x({"tag": "datatype", "name": ["Core", "Tuple"], "params": [1] * 50_000}),
    check="julia/values.py: a type is shown up to a few parameters",
)
read(
    "datatype_holds_itself",
    "a type that is its own parameter",
    x(ref(1), {"tag": "datatype", "name": ["Core", "Array"], "params": [ref(1), ref(1)]}),
    check="julia/values.py: showing a type has a depth",
)
read(
    "datatype_doubles_40_times",
    "a small file, a type of 2^40 parts when written out",
    x(
        ref(1),
        *[{"tag": "datatype", "name": ["Core", "Tuple"], "params": [ref(n), ref(n)]} for n in range(2, 42)],
        FLOAT32,
    ),
    check="julia/values.py: comparing meets each pair once",
)
read(
    "unionall_holds_itself",
    "a UnionAll whose body is itself",
    x(ref(1), {"tag": "unionall", "var": ref(1), "body": ref(1)}),
    check="codec/lift.py: a UnionAll is filled after it exists",
)
bad(
    "datatype_name_numbers",
    "a type whose name is numbers",
    x({"tag": "datatype", "name": [1, 2], "params": []}),
    check="vocab/julia/tags.py: a name is texts",
)
bad(
    "datatype_name_is_text",
    "a type whose name is one text: its letters would be the path",
    x({"tag": "datatype", "name": 5, "params": []}),
    check=FIELDS,
)
bad(
    "datatype_params_text",
    "parameters that are a text",
    x({"tag": "datatype", "name": ["A"], "params": "abc"}),
    check="vocab/julia/tags.py: parameters are a list",
)
read(
    "datatype_name_is_longer_than_it_seems",
    "Core.Float32 behind a hundred prefixes is another type",
    x(struct_(type_("Main." * 100 + "Core.Float32"), 1)),
    check="julia/types.py: names are compared whole",
    good=lambda v: type(v["x"]) is Struct,
)
read("struct_type_is_number", "a struct whose type is 5", x({"tag": "struct", "type": 5, "data": []}), check=INERT)

# -- structs ----------------------------------------------------------------------------------------------------------

bad(
    "struct_wrong_arity",
    "a complex number of three parts",
    x(struct_("Main.Base.Complex", 1.0, 2.0, 3.0)),
    check=FIELDS,
)
bad("struct_no_fields", "a rational number of none", x(struct_("Main.Base.Rational")), check=FIELDS)
bad(
    "struct_data_number",
    "fields that are a number",
    x({"tag": "struct", "type": type_("Main.A"), "data": 5}),
    check="vocab/julia/tags.py: fields are a list or bytes",
)
bad(
    "struct_data_text",
    "fields that are a text",
    x({"tag": "struct", "type": type_("Main.A"), "data": "abc"}),
    check="vocab/julia/tags.py: fields are a list or bytes",
)
read(
    "struct_field_type_confusion",
    "a complex number of texts stays what it is",
    x(struct_("Main.Base.Complex", "a", "b")),
    check="vocab/julia/numbers.py: parts of the right types, or a Struct",
    good=lambda v: type(v["x"]) is Struct,
)
bad(
    "primitive_short_bytes",
    "a Float32 of two bytes",
    x({"tag": "struct", "type": FLOAT32, "data": blob(b"ab")}),
    check="vocab/numpy.py: as many bytes as the type has",
)
bad(
    "primitive_long_bytes",
    "a Float32 of a kilobyte",
    x({"tag": "struct", "type": FLOAT32, "data": blob(bytes(1000))}),
    check="vocab/numpy.py: as many bytes as the type has",
)
bad(
    "primitive_bool_2",
    "a Bool that is neither",
    x({"tag": "struct", "type": BOOL, "data": blob(b"\2")}),
    check="vocab/numpy.py: a Bool is 0 or 1",
)
bad(
    "primitive_fields",
    "a Float32 with fields",
    x(struct_(FLOAT32, 1, 2)),
    check="vocab/numpy.py: as many bytes as the type has",
)
bad(
    "int128_of_a_megabyte",
    "an Int128 of 8 million bits",
    lambda: x({"tag": "struct", "type": type_("Core.Int128"), "data": blob(b"\x7f" * (1 << 20))}),
    check="vocab/julia/numbers.py: as many bytes as the type has",
)
bad(
    "char_of_a_kilobyte",
    "a Char of a thousand bytes",
    x({"tag": "struct", "type": type_("Core.Char"), "data": blob(b"a" * 1000)}),
    check="vocab/julia/numbers.py: as many bytes as the type has",
)
bad(
    "char_of_none",
    "a Char of no fields",
    x({"tag": "struct", "type": type_("Core.Char"), "data": []}),
    check="vocab/julia/numbers.py: as many bytes as the type has",
)
bad("uuid_of_text", "a UUID that is a text", x(struct_("Main.Base.UUID", "abc")), check=FIELDS)
bad("uuid_of_float", "a UUID that is a fraction", x(struct_("Main.Base.UUID", 2.5)), check=FIELDS)
bad("uuid_of_truth", "a UUID that is a truth", x(struct_("Main.Base.UUID", True)), check=FIELDS)
bad("date_of_text", "a date whose day is a text", x(struct_("Dates.Date", "soon")), check=FIELDS)
read(
    "date_in_year_ten_million",
    "a date that Python does not have",
    x(struct_("Dates.Date", 2**62)),
    check="vocab/julia/dates.py: beyond Python's calendar it stays a Struct",
    good=lambda v: type(v["x"]) is Struct,
)
bad(
    "date_inside_itself",
    "a date whose day is the date: unpacking never ends",
    x(ref(1), struct_("Dates.Date", ref(2)), struct_("Main.A", ref(2))),
    check="vocab/julia/dates.py: two structs inside each other, no more",
)
bad(
    "cuarray",
    "the address of memory on a GPU",
    x(struct_("CuArrays.CuArray", 123456789)),
    check="vocab/julia/lost.py: its values are not in the file",
)
bad(
    "bigint_pointer",
    "a number that is a pointer of another process",
    x(struct_("Main.Base.GMP.BigInt", 1, 1, 140_000_000_000_000)),
    check="vocab/julia/lost.py: its values are not in the file",
)
read(
    "range_of_2_63",
    "a range that is never written out",
    x(struct_("Main.Base.UnitRange", 1, 2**63 - 1)),
    check="vocab/julia/numbers.py: a range is three numbers",
    good=lambda v: type(v["x"]) is range,
)
bad(
    "named_tuple_names",
    "two values, one name",
    x(struct_(type_("Core.NamedTuple", tuple_({"tag": "symbol", "name": "a"}), ANY), 1, 2)),
    check="vocab/julia/tables.py: as many names as values",
)
bad("named_tuple_no_type", "a named tuple without names", x(struct_("Core.NamedTuple", 1)), check=FIELDS)
read(
    "named_tuple_dunder_names",
    "names that Python uses itself: reached by index only",
    x(
        struct_(
            type_(
                "Core.NamedTuple",
                tuple_({"tag": "symbol", "name": "__class__"}, {"tag": "symbol", "name": "__array_interface__"}),
                ANY,
            ),
            1,
            2,
        )
    ),
    check="julia/values.py: names are looked up last",
    good=lambda v: v["x"] == (1, 2),
)
bad("dict_one_list", "a dictionary with keys and no values", x(struct_("Main.Base.Dict", [])), check=FIELDS)
bad(
    "dict_unequal",
    "three keys, one value",
    x(julia_dict([1, 2, 3], [1])),
    check="vocab/julia/tables.py: as many keys as values",
)
bad("dict_same_key", "a key twice", x(julia_dict(["a", "a"], [1, 2])), check="vocab/julia/tables.py: no key twice")
bad(
    "dict_keys_equal_in_python",
    "1 and true are two keys in Julia and one in Python",
    x(julia_dict([1, True], [1, 2])),
    check="vocab/julia/tables.py: no key twice",
)
bad(
    "python_dict_same_key",
    "the same for Python's own",
    x(python_dict(["a", "a"], [1, 2])),
    check="vocab/containers.py: no key twice",
)
bad(
    "set_same_member",
    "a member twice",
    x(struct_("Main.Base.Set", python_dict(["a", "a"], [None, None])) | {"python": "set"}),
    check="vocab/containers.py: no member twice",
    must=REFUSED,
)
bad("set_of_number", "a set around a number", x(struct_("Main.Base.Set", 5)), check=FIELDS)
bad(
    "symbol_of_number",
    "a symbol whose name is a list",
    x({"tag": "symbol", "name": [1]}),
    check="vocab/julia/tags.py: a symbol's name is a text",
)
bad("ref_of_number", "a path that is a number", x({"tag": "ref", "path": 5}), check=FIELDS)
bad("tuple_of_number", "a tuple of 5", x({"tag": "tuple", "data": 5}), check="vocab/containers.py: elements are a list")
bad("svec_of_number", "a SimpleVector of 5", x({"tag": "svec", "data": 5}), check=FIELDS)
bad("tuple_without_data", "a tuple of nothing", x({"tag": "tuple"}), check=FIELDS)
read(
    "tag_unknown",
    "a tag of nobody's",
    x({"tag": "exec", "data": "id"}),
    check="codec/lift.py: no rule, a plain dictionary",
    good=lambda v: v["x"] == {"tag": "exec", "data": "id"},
)
read(
    "tag_not_text",
    "a tag that is a list",
    x({"tag": ["struct"], "data": []}),
    check="codec/lift.py: a tag is a text",
    good=lambda v: type(v["x"]) is dict,
)
read(
    "tag_that_lacks_its_fields",
    "a struct without type and data",
    x({"tag": "struct"}),
    check="codec/lift.py: a tag without its fields is a plain dictionary",
    good=lambda v: v["x"] == {"tag": "struct"},
)
read(
    "tag_of_a_python_class",
    "the names of inner rules as tags",
    x([{"tag": name} for name in ("absent", "Blob", "Int32", "julia.Array", "list", "dict", "RawText", "Opaque")]),
    check="codec/lift.py: a tag without its fields is a plain dictionary",
    must=EITHER,
)
read(
    "root_is_a_tag",
    "the whole file is one struct",
    plain({"tag": "struct", "type": type_("Main.A"), "data": [1]}),
    check="formats/bson.py: such a root is one value",
    good=lambda v: type(v) is Struct,
)
read(
    "root_is_backref",
    "the whole file is a reference to its own entry",
    plain({"tag": "backref", "ref": 1, "_backrefs": [5]}),
    check=REFERENCE,
)
