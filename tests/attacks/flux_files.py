"""Flux's models: layers of nothing, weights that are drawn large, optimisers that hold what they should not."""

from functools import partial
from typing import Any

from attacks.build import (
    FLOAT32,
    array,
    blob,
    floats,
    julia_dict,
    python,
    ref,
    struct_,
    tuple_,
    type_,
    x,
)
from attacks.case import EITHER, FORMAT, READ, REFUSED, UNTRUSTED
from attacks.case import give as give_case

ROWS = "vocab/flux/layouts: a struct has the fields and parameters of one of the known forms"
DRAWN = "vocab/flux/arrays.py: a weight is not much larger than what the file holds of it"
NUMBERS = "vocab/flux/arrays.py: a weight is an array of numbers"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
refused: Any = partial(give, must=REFUSED)
read: Any = partial(give, must=READ)

IDENTITY = struct_("Main.Base.#identity")


def dense(weight: Any, bias: Any = None, act: Any = IDENTITY) -> Any:
    return struct_(
        type_("Flux.Dense", type_("Main.A"), type_("Core.Any"), type_("Core.Any")),
        weight,
        floats(2) if bias is None else bias,
        act,
    )


def wrapped(name: str, *fields: Any, params: tuple[Any, ...] = (FLOAT32, 1)) -> Any:
    return struct_(type_(name, *params), *fields)


read("dense_good", "a layer as it should be, for comparison", x(dense(floats(2, 3))), check=ROWS)
for label, weight in {
    "text": "weights",
    "number": 5,
    "null": None,
    "list_of_texts": ["a"],
    "document": {"a": 1},
    "function": python("len"),
    "module": python("torch.nn.ReLU", state={"training": True}),
    "namespace": python("types.SimpleNamespace", state={"detach": python("len"), "shape": [2]}),
    "layer": dense(floats(2, 2)),
    "unknown_struct": struct_("Main.A", 1),
    "texts": array(type_("Core.String"), [2], ["a", "b"]),
    "pointers": array(type_("Core.Ptr"), [1], blob(bytes(8))),
}.items():
    refused(
        f"dense_weight_{label}", f"a Dense whose weight is a {label.replace('_', ' ')}", x(dense(weight)), check=NUMBERS
    )
LONG = floats(10_000)
for label, weight in {
    "diagonal": wrapped("LinearAlgebra.Diagonal", array(FLOAT32, [200_000], blob(bytes(800_000)))),
    "bidiagonal": wrapped("LinearAlgebra.Bidiagonal", LONG, floats(9_999), {"tag": "symbol", "name": "U"}),
    "sparse": wrapped("SparseArrays.SparseMatrixCSC", 10**6, 10**6, floats(1), floats(1), floats(1)),
    "one_to": wrapped("Main.Base.OneTo", 10**13),
    "step_range": wrapped("Main.Base.StepRange", 1, 1, 10**13),
    "step_range_len": wrapped("Main.Base.StepRangeLen", 1.0, 1.0, 10**13, 1),
    "lin_range": wrapped("Main.Base.LinRange", 0.0, 1.0, 10**13, 1),
    "unit_range": wrapped("Main.Base.UnitRange", 1, 10**13),
    "one_hot_vector": wrapped("Flux.OneHotVector", 1, 10**13),
    "one_hot_array": struct_(
        type_("Flux.OneHotArray", FLOAT32, 10**10), array(type_("Core.UInt32"), [1000], blob(bytes(4000)))
    ),
    "adjoint_of_range": wrapped("LinearAlgebra.Adjoint", wrapped("Main.Base.OneTo", 10**13)),
    "symmetric_nothing": wrapped(
        "LinearAlgebra.Symmetric", array(type_("Core.Nothing"), [10**7, 10**7], blob()), {"tag": "symbol", "name": "U"}
    ),
    "tracked_range": wrapped(
        "Tracker.TrackedArray", struct_("Tracker.Tracked", 1), wrapped("Main.Base.OneTo", 10**13), None
    ),
}.items():
    refused(
        f"dense_weight_{label}",
        f"a Dense whose weight is a {label.replace('_', ' ')} that is terabytes when it is written out",
        x(dense(weight)),
        check=DRAWN,
    )
for label, weight in {
    "itself": ref(1),
    "subarray_oob": wrapped("Main.Base.SubArray", floats(4), tuple_(10**9)),
    "subarray_neg": wrapped("Main.Base.SubArray", floats(4), tuple_(-10)),
    "reshaped": wrapped("Main.Base.ReshapedArray", floats(4), tuple_(2**40, 2**40), tuple_()),
    "reinterpreted": wrapped("Main.Base.ReinterpretArray", floats(4), params=(type_("Core.Any"),)),
    "bit_array": wrapped("Main.Base.BitArray", floats(4), 10**13, tuple_(10**13)),
    "adjoint_of_text": wrapped("LinearAlgebra.Adjoint", "text"),
    "adjoint_no_fields": wrapped("LinearAlgebra.Adjoint"),
    "permuted": wrapped(
        "Main.Base.PermutedDimsArrays.PermutedDimsArray", floats(2, 2), params=(FLOAT32, 2, tuple_(5, 6))
    ),
    "cuarray": struct_("CuArrays.CuArray", 1),
    "tracked_two": struct_("Tracker.TrackedArray", 1, 2),
}.items():
    refused(
        f"dense_weight_{label}",
        f"a Dense whose weight is a broken wrapper ({label})",
        x(dense(weight), wrapped("LinearAlgebra.Adjoint", ref(1))),
        check=NUMBERS,
    )
read(
    "dense_adjoint_50_deep",
    "a weight in fifty wrappers",
    x(dense(ref(1)), *[wrapped("LinearAlgebra.Adjoint", ref(n)) for n in range(2, 52)], floats(2, 2)),
    check=NUMBERS,
)
refused(
    "dense_adjoint_3k_deep",
    "a weight in 3,000 wrappers",
    lambda: x(dense(ref(1)), *[wrapped("LinearAlgebra.Adjoint", ref(n)) for n in range(2, 3_002)], floats(2, 2)),
    check=NUMBERS,
)
refused("dense_no_fields", "a Dense of no fields", x(struct_("Flux.Dense")), check=ROWS)
refused("dense_nine_fields", "a Dense of nine", x(struct_("Flux.Dense", *[1] * 9)), check=ROWS)
refused(
    "dense_type_is_number",
    "a Dense whose type has numbers for parameters",
    x(struct_(type_("Flux.Dense", 1, 2, 3, 4, 5, 6), floats(1, 1), floats(1), IDENTITY)),
    check=ROWS,
)
refused(
    "dense_bias_huge",
    "a bias that is terabytes when written out",
    x(dense(floats(2, 2), wrapped("Main.Base.OneTo", 10**13))),
    check=DRAWN,
)
refused(
    "dense_act_text",
    "an activation that is a text",
    x(dense(floats(2, 2), act="relu")),
    check="vocab/flux/functions.py: an activation is a function of the table, or Julia code that stays inert",
)
read(
    "dense_act_run",
    "an activation that runs a command in Julia: it stays inert",
    x(dense(floats(2, 2), act=struct_("Main.Base.#run"))),
    check="vocab/flux/code.py: Julia code is data that says how to replace it",
)
give(
    "dense_act_os_system",
    "an activation that is os.system",
    x(dense(floats(2, 2), act=python("os.system"))),
    must=UNTRUSTED,
    check="codec/lift.py: a name is looked up in exact tables, and only there",
)
read("chain_empty", "a Chain of nothing", x(struct_(type_("Flux.Chain", type_("Core.Tuple")), tuple_())), check=ROWS)
refused(
    "chain_of_texts",
    "a Chain of texts",
    x(struct_(type_("Flux.Chain", type_("Core.Tuple")), tuple_("a", "b"))),
    check="vocab/flux/fields.py: members are layers or functions",
)
refused(
    "chain_of_itself",
    "a Chain in itself",
    x(ref(1), struct_(type_("Flux.Chain", type_("Core.Tuple")), tuple_(ref(1)))),
    check="codec/lift.py: a cycle closes only through a value that can be filled later",
)
refused(
    "chain_of_number",
    "a Chain of 5",
    x(struct_(type_("Flux.Chain", type_("Core.Tuple")), 5)),
    check="vocab/flux/fields.py: members are layers or functions",
)
give(
    "chain_of_chains_300_deep",
    "a Chain in a Chain, 300 times",
    x(
        ref(1),
        *[struct_(type_("Flux.Chain", type_("Core.Tuple")), tuple_(ref(n))) for n in range(2, 302)],
        dense(floats(2, 1)),
    ),
    check="codec/lift.py: building has a stack of its own",
    must=EITHER,
)
read(
    "chain_same_layer_2000",
    "one layer, 2,000 times",
    x(struct_(type_("Flux.Chain", type_("Core.Tuple")), tuple_(*[ref(1)] * 2000)), dense(floats(2, 1))),
    check="codec/lift.py: each document is built once",
)
refused(
    "conv_stride_text",
    "a stride that is a text",
    x(
        struct_(
            type_("Flux.Conv", 2, 4, IDENTITY, FLOAT32, FLOAT32),
            IDENTITY,
            floats(3, 3, 1, 1),
            floats(1),
            "ab",
            tuple_(0, 0),
            tuple_(1, 1),
            1,
        )
    ),
    check="vocab/flux/fields.py: each field by its kind",
)
refused(
    "conv_stride_neg",
    "a stride of -1 and a padding of 2^62",
    x(
        struct_(
            type_("Flux.Conv", 2, 4, IDENTITY, FLOAT32, FLOAT32),
            IDENTITY,
            floats(3, 3, 1, 1),
            floats(1),
            tuple_(-1, "a"),
            tuple_(2**62, 0),
            tuple_(1, 1),
            1,
        )
    ),
    check="vocab/flux/fields.py: each field by its kind",
)
refused(
    "batch_norm_texts",
    "a BatchNorm of texts",
    x(struct_(type_("Flux.BatchNorm", *[FLOAT32] * 3), IDENTITY, "a", "b", "c", "d", 1e-5, 0.1, True, True, None, 3)),
    check="vocab/flux/fields.py: each field by its kind",
)
refused(
    "recur_of_number",
    "a Recur around a number",
    x(struct_(type_("Flux.Recur", FLOAT32, FLOAT32), 5, 5)),
    check="vocab/flux/fields.py: each field by its kind",
)
refused(
    "lstm_cell_shapes",
    "an LSTM whose weights do not fit each other",
    x(
        struct_(
            type_("Flux.LSTMCell", *[FLOAT32] * 3), floats(3, 3), floats(5, 5), floats(7), tuple_(floats(9), floats(1))
        )
    ),
    check="holdfast.flux: a cell checks its weights' shapes",
)
refused(
    "dropout_text",
    "a Dropout of 'half'",
    x(struct_(type_("Flux.Dropout", FLOAT32), "half", 1, True)),
    check="vocab/flux/fields.py: each field by its kind",
)
refused(
    "adam_text",
    "an ADAM whose rate is a text",
    x(struct_("Flux.Optimise.ADAM", "fast", tuple_(0.9, 0.999), struct_("Main.Base.IdDict", [], []))),
    check="vocab/flux/optimisers.py: hyperparameters are numbers",
)
refused(
    "adam_state_number",
    "an ADAM whose state is a number",
    x(struct_("Flux.Optimise.ADAM", 0.1, tuple_(0.9, 0.999), 5)),
    check="vocab/flux/optimisers.py: state is a dictionary by parameter",
)
give(
    "adam_state_of_texts",
    "an ADAM with state for texts",
    x(
        struct_(
            "Flux.Optimise.ADAM",
            0.1,
            tuple_(0.9, 0.999),
            struct_(type_("Main.Base.IdDict", FLOAT32, FLOAT32), ["a"], ["b"]),
        )
    ),
    must=EITHER,
    check="vocab/flux/optimisers.py: what belongs to no layer stays as it is",
)
give(
    "optimiser_of_itself",
    "an Optimiser in itself",
    x(ref(1), struct_("Flux.Optimise.Optimiser", [ref(1)])),
    check="codec/lift.py: a cycle closes only through a value that can be filled later",
    must=EITHER,
)
read(
    "params_of_text",
    "Params of a text",
    x(struct_("Zygote.Params", "abc", struct_("Main.Base.IdSet", 1))),
    check="vocab/flux/params.py: parameters are arrays",
)
read("zeros_bias", "no bias, as Flux 0.12 wrote it", x(dense(floats(2, 2), struct_("Flux.Zeros"))), check=ROWS)
refused(
    "python_side_attribute_forward",
    "a Dense with its own forward",
    x(dense(floats(2, 2)) | {"attributes": {"forward": python("len")}}),
    check="vocab/torch/attributes.py: what is a method is no attribute",
)
refused(
    "python_side_rng",
    "a Dropout whose generator is a text",
    x(struct_(type_("Flux.Dropout", FLOAT32), 0.5, struct_("Main.Base.Colon"), True) | {"rng": "me"}),
    check="vocab/flux/layers.py: what stands beside a struct is checked by name",
)
read(
    "tree_of_leaves_cycle",
    "a state tree that holds itself",
    x(ref(1), struct_(type_("Optimisers.Leaf", FLOAT32, FLOAT32), ref(1), ref(1), False)),
    check="vocab/julia/tags.py: a Struct is filled after it exists",
)
read(
    "closure_replaced_by_nothing",
    "a closure with 10,000 fields",
    x(struct_({"tag": "jl_anonymous", "params": [], "typename": 5}, *range(10_000))),
    check="vocab/julia/tags.py: what is not known is data: names and fields",
)
read("dict_of_weights", "weights in Julia's dictionary by text", x(julia_dict(["w"], [floats(2)])), check=ROWS)
