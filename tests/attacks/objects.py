"""Python's side: names that would be code, attributes that would be run, state that is not state."""

from functools import partial
from typing import Any

from attacks.build import (
    array,
    blob,
    floats,
    julia_dict,
    module,
    optimiser,
    parameter,
    python,
    python_dict,
    ref,
    tensor,
    tuple_,
    type_,
    x,
)
from attacks.case import EITHER, FORMAT, READ, REFUSED, UNTRUSTED, case
from attacks.case import give as give_case

TABLE = "codec/lift.py: a name is looked up in exact tables, and only there"
NAMED = "vocab/named.py: only functions that compute stand in the table"
OWN = "vocab/anatomy.py: Python's own names and methods are no attributes"
TORCHS = "vocab/torch/attributes.py: what belongs to torch is no attribute"
PARTS = "vocab/torch/modules.py: parts are named, and of the right class"
CHECKED = "codec/lift.py: a rule that does not find what it expects is a FormatError"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)
untrusted: Any = partial(give, must=UNTRUSTED)

# -- names ------------------------------------------------------------------------------------------------------------

for label, name in {
    "os_system": "os.system",
    "posix_system": "posix.system",
    "eval": "eval",
    "exec": "exec",
    "import": "__import__",
    "open": "open",
    "getattr": "getattr",
    "builtins_eval": "builtins.eval",
    "breakpoint": "breakpoint",
    "compile": "compile",
    "input": "input",
    "popen": "subprocess.Popen",
    "pickle_loads": "pickle.loads",
    "marshal_loads": "marshal.loads",
    "importlib": "importlib.import_module",
    "pkgutil_resolve": "pkgutil.resolve_name",
    "runpy": "runpy.run_path",
    "ctypes": "ctypes.CDLL",
    "socket": "socket.socket",
    "webbrowser": "webbrowser.open",
    "numpy_load": "numpy.load",
    "numpy_exec": "numpy.testing._private.utils.runstring",
    "torch_load": "torch.load",
    "torch_hub": "torch.hub.load",
    "torch_compile": "torch.compile",
    "torch_classes": "torch.classes.load_library",
    "torch_script": "torch.jit.ScriptModule",
    "rebuild_tensor": "torch._utils._rebuild_tensor_v2",
    "walk_to_os": "torch.nn.parameter.torch.os.system",
    "walk_to_importlib": "torch.nn.functional.importlib.import_module",
    "walk_to_shutil": "torch.serialization.shutil.rmtree",
    "set_default_dtype": "torch.set_default_dtype",
    "enable_unsafe": "keras.config.enable_unsafe_deserialization",
    "lambda_layer": "keras.layers.Lambda",
    "operator_methodcaller": "operator.methodcaller",
    "operator_attrgetter": "operator.attrgetter",
    "functools_reduce": "functools.reduce",
    "types_function": "types.FunctionType",
    "types_code": "types.CodeType",
    "type": "type",
    "weakref": "weakref.ref",
    "own_internals": "holdfast.api.save",
    "lookalike": "torch.nn.Linear\u200b",
    "other_case": "Torch.nn.Linear",
    "with_nul": "torch.nn.Linear\0os.system",
    "with_newline": "torch.nn.Linear\n[x] allowed",
    "trailing_dot": "torch.nn.Linear.",
    "empty": "",
    "dots": "....",
    "path": "../../etc/passwd",
    "dunder": "torch.nn.Linear.__init__.__globals__",
    "class_of_unknown": "os.system (class)",
    "class_of_popen": "subprocess.Popen (class)",
    "user_class": "__main__.Net",
}.items():
    untrusted(f"name_{label}", f"an object of the class {name!r}", x(python(name, state={}, args=["id"])), check=TABLE)
for label, name in {"os_system": "os.system", "exec": "exec", "user_class": "__main__.Net"}.items():
    untrusted(
        f"python_key_{label}", f"a Julia array that is {name!r} in Python", x(floats(1, python=name)), check=TABLE
    )
    untrusted(
        f"dict_subclass_{label}",
        f"a dictionary that is {name!r} in Python",
        x(julia_dict([], []) | {"python": name}),
        check=TABLE,
    )
bad("name_is_number", "a class named by a number", x(python(5)), check="codec/lift.py: a class is named by a text")  # type: ignore[arg-type]
bad(
    "name_is_missing", "a class without a name", x({"tag": "python"}), check="codec/lift.py: a class is named by a text"
)
bad(
    "name_is_document",
    "a class named by a document",
    x({"tag": "python", "type": {"tag": "ref", "path": ["os"]}}),
    check="codec/lift.py: a class is named by a text",
)
bad(
    "python_key_is_list",
    "a Python side that is a list",
    x(floats(1, python=["torch.Tensor"])),
    check="codec/lift.py: a class is named by a text",
)
untrusted(
    "name_of_100_kb",
    "a name of 100 kB: the message must stay short",
    lambda: x(python("a" * 100_000)),
    check="errors.py: names are shown up to a length",
)
case(
    "names_20k",
    "20,000 classes that nobody knows: the message must stay short",
    UNTRUSTED,
    "errors.py: so many names are shown, the others counted",
)(lambda: x([python(f"evil.Class{n}") for n in range(20_000)]))
untrusted(
    "untrusted_inside_allowed",
    "an unknown class deep inside known ones",
    x(module("Sequential", modules={"0": module("ReLU", attributes={"inplace": python("os.system")})})),
    check="codec/lift.py: the audit goes all the way before anything is built",
)
untrusted(
    "untrusted_in_backrefs",
    "an unknown class that is only referred to",
    x(ref(1), python("os.system")),
    check="codec/lift.py: the audit follows references",
)
read(
    "untrusted_not_wanted",
    "an unknown class in an entry that nothing refers to",
    x(1, python("os.system")),
    check="codec/lift.py: only what is reached is built",
    good=lambda v: v == {"x": 1},
)
untrusted(
    "tag_hides_in_raw",
    "an unknown class where a rule takes its child as it is",
    x(python_dict([python("os.system")], [1])),
    check="codec/lift.py: the audit goes all the way before anything is built",
)
untrusted(
    "type_slot_hides_class",
    "an unknown class as the type of an array",
    x(array(python("os.system"), [1], blob(b"1234"))),
    check="codec/lift.py: the audit goes all the way before anything is built",
)
untrusted(
    "key_of_extra_hides_class",
    "an unknown class in an extra key of a struct",
    x({"tag": "struct", "type": type_("Main.A"), "data": [], "more": python("os.system")}),
    check="codec/lift.py: the audit goes all the way before anything is built",
)

# -- functions --------------------------------------------------------------------------------------------------------

untrusted(
    "partial_of_os_system",
    "a partial whose function is not allowed",
    x(python("functools.partial", func=python("os.system"), args=tuple_("id"), keywords={})),
    check=NAMED,
)
bad(
    "partial_of_number",
    "a partial of a number",
    x(python("functools.partial", func=5, args=tuple_(), keywords={})),
    check="vocab/python.py: a partial stands around a function",
)
bad(
    "partial_args_list",
    "arguments that are no tuple",
    x(python("functools.partial", func=python("len"), args=[1], keywords={})),
    check="vocab/python.py: a partial stands around a function",
)
bad(
    "partial_of_partial",
    "a partial of itself",
    x(ref(1), python("functools.partial", func=ref(1), args=tuple_(), keywords={})),
    check="codec/lift.py: a cycle closes only through a value that can be filled later",
)
read(
    "partial_of_map",
    "a partial that would call: it is made and never called",
    x(python("functools.partial", func=python("map (class)"), args=tuple_(python("chr")), keywords={})),
    check=NAMED,
)
untrusted(
    "activation_os_system",
    "an activation that is os.system",
    x(module("TransformerEncoderLayer", attributes={"activation": python("os.system")})),
    check=NAMED,
)
untrusted(
    "distance_eval",
    "a loss whose distance is eval",
    x(module("TripletMarginWithDistanceLoss", attributes={"distance_function": python("eval")})),
    check=NAMED,
)
bad(
    "defaultdict_os_system",
    "a dictionary that runs a command for a missing key",
    x(julia_dict([], []) | {"python": "collections.defaultdict", "default_factory": "os.system"}),
    check="vocab/containers.py: a factory is one of a table",
)
untrusted(
    "defaultdict_partial",
    "a factory that is an object",
    x(julia_dict([], []) | {"python": "collections.defaultdict", "default_factory": python("exec")}),
    check=NAMED,
)
bad(
    "defaultdict_known_function",
    "a factory that is a function of the table: still none",
    x(julia_dict([], []) | {"python": "collections.defaultdict", "default_factory": python("len")}),
    check="vocab/containers.py: a factory is one of a table",
)
untrusted(
    "scheduler_lambda",
    "a LambdaLR whose lambda is named",
    x(
        python(
            "torch.optim.lr_scheduler.LambdaLR",
            state={"attributes": {"lr_lambdas": [python("builtins.eval")], "optimizer": optimiser("SGD")}},
        ),
        parameter(2),
    ),
    check=NAMED,
)

# -- attributes -------------------------------------------------------------------------------------------------------

for name in (
    "forward",
    "__class__",
    "__dict__",
    "__call__",
    "__getattr__",
    "__array_interface__",
    "__reduce__",
    "state_dict",
    "register_buffer",
    "to",
):
    bad(
        f"linear_attribute_{name.strip('_')}",
        f"a layer with its own {name!r}, which the first call would run",
        x(module("Linear", attributes={name: python("len")})),
        check=OWN,
    )
for name in (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_state_dict_hooks",
    "_parameters",
    "_modules",
    "_load_state_dict_pre_hooks",
    "_compiled_call_impl",
    "training",
):
    bad(
        f"linear_attribute{name if name[0] == '_' else '_' + name}",
        f"a layer with {name!r} of the file's own",
        x(module("Linear", attributes={name: {}})),
        check=TORCHS,
    )
for name in (
    "__array_interface__",
    "__array__",
    "__cuda_array_interface__",
    "__class__",
    "__dict__",
    "__len__",
    "__reduce_ex__",
    "__torch_function__",
):
    bad(
        f"namespace_{name.strip('_')}",
        f"a plain object with {name!r}: numpy.asarray would read any address",
        x(
            python(
                "types.SimpleNamespace",
                state={name: {"data": [3735928559, False], "shape": [9], "typestr": "<f8", "version": 3}},
            )
        ),
        check=OWN,
    )
bad(
    "generic_of_namespace",
    "a NumPy scalar made of an object that says where its memory is",
    x(
        python(
            "numpy.generic",
            state=python(
                "types.SimpleNamespace",
                state={
                    "__array_interface__": {
                        "data": tuple_(3735928559, False),
                        "shape": tuple_(),
                        "typestr": "<f8",
                        "version": 3,
                    }
                },
            ),
        )
    ),
    check=OWN,
)
bad(
    "generic_of_mapping",
    "the same of a dictionary",
    x(python("numpy.generic", state={"__array_interface__": 1})),
    check="vocab/numpy.py: a scalar is an array of no dimensions",
    must=EITHER,
)
bad(
    "tensor_attribute_data",
    "a tensor with its own 'data'",
    x(tensor(2, attributes={"data": 1})),
    check="vocab/torch/tensors.py: an attribute is none of the class's",
)
bad(
    "tensor_attribute_grad_fn",
    "a tensor with its own 'grad_fn'",
    x(tensor(2, attributes={"grad_fn": 1})),
    check="vocab/torch/tensors.py: an attribute is none of the class's",
)
bad(
    "tensor_attribute_dunder",
    "a tensor with '__torch_function__'",
    x(tensor(2, attributes={"__torch_function__": 1})),
    check="vocab/torch/tensors.py: an attribute is none of the class's",
)
bad(
    "tensor_attribute_function",
    "a tensor with a function",
    x(tensor(2, attributes={"post": python("len")})),
    check="vocab/torch/tensors.py: attributes are plain values",
)
bad(
    "tensor_attributes_list",
    "attributes that are a list",
    x(tensor(2, attributes=[1])),
    check="vocab/torch/tensors.py: attributes are plain values",
)
read(
    "state_dict_dunder_keys",
    "weights called like methods are keys, never attributes",
    x(python_dict(["__class__", "forward", "../../../etc/passwd", "/abs", "C:\\x", "a/b"], [tensor(1)] * 6)),
    check="vocab/containers.py: a key is a key",
    good=lambda v: len(v["x"]) == 6,
)
bad(
    "module_part_with_dots", "a weight called ../x", x(module("Linear", parameters={"../x": parameter(1)})), check=PARTS
)
bad("module_part_empty", "a weight without a name", x(module("Linear", parameters={"": parameter(1)})), check=PARTS)
read(
    "module_part_forward",
    "a weight called forward: found only where no method is",
    x(module("Linear", parameters={"forward": parameter(1)})),
    check=PARTS,
    good=lambda v: callable(v["x"].forward),
)
bad("module_parameter_is_list", "a weight that is a list", x(module("Linear", parameters={"weight": [1]})), check=PARTS)
bad(
    "module_parameter_is_tensor",
    "a weight that is no parameter",
    x(module("Linear", parameters={"weight": tensor(1)})),
    check=PARTS,
)
bad(
    "module_child_is_function",
    "a layer that is a function",
    x(module("Sequential", modules={"0": python("len")})),
    check=PARTS,
)
bad(
    "module_child_is_class",
    "a layer that is a class",
    x(module("Sequential", modules={"0": python("torch.nn.Linear (class)")})),
    check=PARTS,
)
bad("module_training_text", "a mode that is a text", x(module("Linear", training="no")), check=PARTS)
bad("module_no_state", "a module without a state", x(python("torch.nn.Linear")), check=CHECKED)
bad("module_state_list", "a module whose state is a list", x(python("torch.nn.Linear", state=[1])), check=CHECKED)
bad(
    "module_hidden_unknown",
    "a buffer that is not there is left out",
    x(module("Linear", non_persistent=["ghost"])),
    check=PARTS,
)
bad("module_hidden_unhashable", "a name that is a list", x(module("Linear", non_persistent=[["a"]])), check=CHECKED)
read(
    "module_cycle",
    "a module that is its own child",
    x(ref(1), module("Sequential", modules={"0": ref(1)})),
    check="vocab/torch/modules.py: filled after it exists",
    good=lambda v: v["x"][0] is v["x"],
)
read(
    "linear_1e7",
    "a layer of 10^7 x 10^7 in its attributes, with no weights: nothing is allocated",
    x(module("Linear", attributes={"in_features": 10**7, "out_features": 10**7})),
    check="vocab/torch/modules.py: no constructor runs",
)
read(
    "embedding_2_62",
    "an embedding of 2^62 rows",
    x(module("Embedding", attributes={"num_embeddings": 2**62, "embedding_dim": 2**62})),
    check="vocab/torch/modules.py: no constructor runs",
)
bad(
    "rnn_1e9_layers",
    "an RNN of a billion layers, whose weights are named one by one",
    x(module("LSTM", attributes={"num_layers": 10**9, "bias": True, "proj_size": 0, "bidirectional": False})),
    check="vocab/torch/modules.py: as many layers as weights",
)
bad(
    "rnn_text_layers",
    "an RNN of 'two' layers",
    x(module("GRU", attributes={"num_layers": "two", "bias": True, "proj_size": 0, "bidirectional": False})),
    check="vocab/torch/modules.py: as many layers as weights",
)
bad(
    "rnn_own_lists",
    "an RNN that brings its own list of weights",
    x(module("LSTM", attributes={"_flat_weights": [1], "num_layers": 0})),
    check=TORCHS,
)
bad(
    "rnn_weight_is_attribute",
    "an RNN whose weight stands among the attributes",
    x(
        module(
            "RNN",
            attributes={"num_layers": 1, "bias": False, "proj_size": 0, "bidirectional": False, "weight_ih_l0": 5},
            parameters={"weight_hh_l0": parameter(1)},
        )
    ),
    check="vocab/torch/modules.py: weights are parameters",
    must=EITHER,
)

# -- optimisers and schedulers ----------------------------------------------------------------------------------------

bad(
    "optimiser_parameter_is_text",
    "an optimiser that drives a text",
    x(optimiser("SGD", [{"params": ["weight"]}])),
    check="vocab/torch/optimisers.py: groups hold tensors",
)
bad(
    "optimiser_group_oob",
    "a parameter that is entry 99",
    x(optimiser("SGD", [{"params": [ref(99)]}]), parameter(1)),
    check="codec/lift.py: a reference is a whole number between 1 and the number of entries",
)
bad(
    "optimiser_groups_dict",
    "groups that are no list",
    x(optimiser("Adam", {"params": []})),
    check="vocab/torch/optimisers.py: groups hold tensors",
)
bad(
    "optimiser_state_unhashable",
    "state of a list instead of a parameter",
    x(optimiser("Adam", [], [[[1], {}]])),
    check=CHECKED,
)
bad(
    "optimiser_state_triple",
    "state that is no pair",
    x(optimiser("Adam", [], [[1, 2, 3]])),
    check="vocab/torch/optimisers.py: state is pairs",
)
bad(
    "optimiser_step_attribute",
    "an optimiser with its own 'step'",
    x(optimiser("SGD", [], attributes={"step": python("len")})),
    check=TORCHS,
)
bad(
    "optimiser_hooks",
    "an optimiser with hooks",
    x(optimiser("SGD", [], attributes={"_optimizer_step_pre_hooks": {"1": python("len")}})),
    check=TORCHS,
)
bad("lbfgs_no_groups", "an LBFGS without groups", x(optimiser("LBFGS", [])), check=CHECKED)
give(
    "adam_state_is_number",
    "a state that is a number: torch's own clean-up meets it",
    x(optimiser("Adam", [], [[ref(1), 5]]), parameter(1)),
    must=EITHER,
    check=CHECKED,
)
give(
    "adam_state_huge_step",
    "a step count that no double holds",
    x(
        optimiser(
            "Adam",
            [{"params": [ref(1)], "lr": 1, "fused": None}],
            [[ref(1), {"step": python("int", state=blob(b"\x7f" * 999))}]],
        ),
        parameter(1),
    ),
    must=REFUSED,
    check="codec/lift.py: whatever torch raises is a FormatError",
)
bad(
    "scheduler_no_optimiser",
    "a scheduler that drives nothing",
    x(python("torch.optim.lr_scheduler.StepLR", state={"attributes": {}})),
    check="vocab/torch/schedulers.py: it drives an optimiser",
)
bad(
    "scheduler_drives_model",
    "a scheduler that drives a layer",
    x(python("torch.optim.lr_scheduler.StepLR", state={"attributes": {"optimizer": module("ReLU")}})),
    check="vocab/torch/schedulers.py: it drives an optimiser",
)
bad(
    "scheduler_own_step",
    "a scheduler with its own step",
    x(
        python(
            "torch.optim.lr_scheduler.StepLR",
            state={"attributes": {"step": python("len"), "optimizer": optimiser("SGD", [])}},
        )
    ),
    check=OWN,
)
bad(
    "cyclic_bad_mode",
    "a CyclicLR in a mode of the file's own",
    x(
        python(
            "torch.optim.lr_scheduler.CyclicLR",
            state={"attributes": {"mode": "exec", "optimizer": optimiser("SGD", [])}},
        )
    ),
    check=CHECKED,
    must=EITHER,
)
bad(
    "grad_scaler_texts",
    "a GradScaler whose numbers are texts",
    x(
        python(
            "torch.amp.GradScaler",
            state={
                "device": "cuda",
                "enabled": True,
                "growth_factor": "2",
                "backoff_factor": 1,
                "growth_interval": 1,
                "scale": 1,
                "growth_tracker": 1,
            },
        )
    ),
    check="vocab/torch/optimisers.py: numbers are numbers",
)
bad(
    "average_decay_text",
    "an average whose decay is a text",
    x(python("torch.optim.swa_utils.get_ema_avg_fn", decay="0.9")),
    check="vocab/torch/functions.py: a decay is a number",
)

# -- random generators ------------------------------------------------------------------------------------------------


def bits(kind: str, **state: Any) -> bytes:
    return x(python(f"numpy.random.{kind}", state={"bit_generator": kind, **state}, seed=None))


WORDS = array(type_("Core.UInt32"), [624], blob(bytes(2496)))
for label, position in (("oob", 10**6), ("neg", -5), ("just", 625)):
    bad(
        f"mt19937_position_{label}",
        "a position outside of the state: the next number is other memory",
        bits("MT19937", state={"key": WORDS, "pos": position}),
        check="vocab/randoms.py: positions are inside the buffer",
    )
    give(
        f"random_state_position_{label}",
        "the same in the legacy generator",
        x(
            python(
                "numpy.random.RandomState",
                state={
                    "bit_generator": "MT19937",
                    "state": {"key": WORDS, "pos": position},
                    "has_gauss": 0,
                    "gauss": 0.0,
                },
            )
        ),
        must=FORMAT,
        check="vocab/randoms.py: positions are inside the buffer",
    )
LONGS = array(type_("Core.UInt64"), [4], blob(bytes(32)))
for label, position in (("oob", 10**6), ("neg", -5), ("just", 5)):
    bad(
        f"philox_position_{label}",
        "a position outside of Philox's buffer",
        bits(
            "Philox",
            state={"counter": LONGS, "key": array(type_("Core.UInt64"), [2], blob(bytes(16)))},
            buffer=LONGS,
            buffer_pos=position,
            has_uint32=0,
            uinteger=0,
        ),
        check="vocab/randoms.py: positions are inside the buffer",
    )
bad(
    "mt19937_short_key",
    "a state of five words",
    bits("MT19937", state={"key": [1, 2, 3, 4, 5], "pos": 1}),
    check=CHECKED,
)
bad("mt19937_key_texts", "a state of texts", bits("MT19937", state={"key": ["a"] * 624, "pos": 1}), check=CHECKED)
bad(
    "bits_of_other_kind",
    "the state of another generator",
    x(python("numpy.random.PCG64", state={"bit_generator": "MT19937", "state": {}}, seed=None)),
    check=CHECKED,
)
bad(
    "pcg64_negative",
    "numbers that do not fit",
    bits("PCG64", state={"state": -1, "inc": -1}, has_uint32=5, uinteger=-1),
    check=CHECKED,
)
bad(
    "sfc64_short",
    "a state of one number",
    bits("SFC64", state={"state": [1]}, has_uint32=0, uinteger=0),
    check=CHECKED,
    must=EITHER,
)
bad(
    "generator_of_number",
    "a Generator around a number",
    x(python("numpy.random.Generator", bits=5)),
    check="vocab/randoms.py: a Generator holds a bit generator",
)
bad(
    "seed_pool_1e9",
    "a pool of a billion words",
    x(python("numpy.random.SeedSequence", state=[1, tuple_(), 10**9, 0])),
    check="vocab/randoms.py: a pool has a limit",
)
bad(
    "seed_entropy_text",
    "entropy that is a text",
    x(python("numpy.random.SeedSequence", state=["abc", tuple_(), 4, 0])),
    check="vocab/randoms.py: entropy is numbers",
)
bad(
    "seed_spawn_key_text",
    "a spawn key that is a text",
    x(python("numpy.random.SeedSequence", state=[1, "abc", 4, 0])),
    check=CHECKED,
)
case("seed_entropy_4mb", "a seed of 32 million bits", REFUSED, "vocab/randoms.py: entropy has a limit")(
    lambda: x(
        python("numpy.random.SeedSequence", state=[python("int", state=blob(b"\x7f" * (1 << 22))), tuple_(), 4, 0])
    )
)
bad(
    "random_state_short",
    "Python's generator with a state of two words",
    x(python("random.Random", state=tuple_(3, tuple_(1, 2), None))),
    check=CHECKED,
)
bad(
    "random_state_position",
    "a position outside of the state",
    x(python("random.Random", state=tuple_(3, tuple_(*[1] * 624, 10**6), None))),
    check=CHECKED,
)
bad(
    "torch_generator_short",
    "torch's generator with a state of 8 bytes",
    x(python("torch.Generator", device="cpu", state=blob(bytes(8)))),
    check="vocab/torch/values.py: torch says no",
)
bad(
    "torch_generator_zeros",
    "torch's generator with a state of zeros",
    x(python("torch.Generator", device="cpu", state=blob(bytes(5056)))),
    check="vocab/torch/values.py: torch says no",
)
bad(
    "torch_generator_ones",
    "torch's generator with a state of all ones: its position would be outside",
    x(python("torch.Generator", device="cpu", state=blob(b"\xff" * 5056))),
    check="vocab/torch/values.py: torch says no",
)
give(
    "torch_generator_elsewhere",
    "a generator of a device that is not here",
    x(python("torch.Generator", device="hpu:99", state=blob(bytes(16)))),
    must=REFUSED,
    check="vocab/torch/values.py: torch says no",
)
bad(
    "device_text",
    "a device called /dev/mem",
    x(python("torch.device", state="/dev/mem")),
    check="vocab/torch/values.py: a device is a kind and a number",
)
bad(
    "device_number",
    "device 10^9",
    x(python("torch.device", state="cuda:1000000000")),
    check="vocab/torch/values.py: a device is a kind and a number",
)

# -- small values of Python's -----------------------------------------------------------------------------------------

case(
    "int_4mb",
    "a number of 32 million bits: it is read, and never written out in decimals",
    READ,
    "vocab/keys.py: long numbers are not shown",
    good=lambda v: v["x"].bit_length() > 30_000_000,
)(lambda: x(python("int", state=blob(b"\x7f" * (1 << 22)))))
bad("int_of_text", "a number that is a text", x(python("int", state="5")), check="vocab/python.py: bytes")
bad("str_bad_bytes", "a text of bytes that are none", x(python("str", state=blob(b"\xff\xfe"))), check=CHECKED)
read(
    "decimal_exponent",
    "a Decimal of 10^18 digits, which is never written out",
    x(python("decimal.Decimal", state="1E+999999999999999999")),
    check="vocab/python.py: a Decimal is its text",
)
bad(
    "decimal_text",
    "a Decimal that is no number",
    x(python("decimal.Decimal", state="evil")),
    check="vocab/python.py: a Decimal is its text",
)
case("decimal_2m_digits", "a Decimal of two million digits", READ, "vocab/python.py: a Decimal is its text")(
    lambda: x(python("decimal.Decimal", state="9" * 2_000_000))
)
bad(
    "fraction_zero",
    "a Fraction over nought",
    x(python("fractions.Fraction", state=[1, 0])),
    check="vocab/julia/numbers.py: two whole numbers",
)
bad("range_step_0", "a range of no step", x(python("range", state=[0, 9, 0])), check=CHECKED)
bad(
    "datetime_year_0",
    "the year nought",
    x(python("datetime.datetime", state=[0, 1, 1, 0, 0, 0, 0, 0, None])),
    check=CHECKED,
)
bad(
    "datetime_short",
    "a date of three numbers",
    x(python("datetime.datetime", state=[2020, 1, 1])),
    check="vocab/times.py: so many whole numbers",
)
bad("timezone_year", "a zone a year off", x(python("datetime.timezone", state=[10**15, None])), check=CHECKED)
bad("timedelta_huge", "more days than there are", x(python("datetime.timedelta", state=[10**18, 0, 0])), check=CHECKED)
for label, key in (
    ("parent", "../../../etc/passwd"),
    ("absolute", "/etc/passwd"),
    ("dot", "./Europe/Berlin"),
    ("nul", "Europe/Berlin\0"),
    ("url", "http://x/y"),
    ("long", "A" * 200),
):
    bad(
        f"zone_{label}",
        f"a time zone called {key[:30]!r}",
        x(python("zoneinfo.ZoneInfo", state=key)),
        check="vocab/times.py: a key is words and slashes",
    )
read(
    "path_outside",
    "a path is a value: nothing is opened",
    x([python("pathlib.PosixPath", state="/etc/shadow"), python("pathlib.PurePosixPath", state="../../x")]),
    check="vocab/python.py: a path is its text",
)
bad(
    "path_nul_list",
    "a path that is a list",
    x(python("pathlib.PosixPath", state=["/", "etc"])),
    check="vocab/python.py: a path is its text",
)
bad("deque_maxlen_neg", "a deque of at most -1", x(python("collections.deque", state=[], maxlen=-1)), check=CHECKED)
bad(
    "deque_maxlen_text",
    "a deque of at most 'two'",
    x(python("collections.deque", state=[], maxlen="two")),
    check="vocab/containers.py: a number",
)
bad(
    "deque_too_many",
    "a deque of one that holds three",
    x(python("collections.deque", state=[1, 2, 3], maxlen=1)),
    check="vocab/containers.py: not more than it may hold",
)
read(
    "deque_maxlen_huge",
    "a deque of at most 2^63 - 1 takes no memory for that",
    x(python("collections.deque", state=[], maxlen=2**63 - 1)),
    check="vocab/containers.py: a number",
)
bad(
    "proxy_of_object",
    "a mapping proxy of an object",
    x(python("types.MappingProxyType", state=[5])),
    check="vocab/containers.py: it shows a dictionary",
)
bad(
    "memoryview",
    "a memory view of the file's own",
    x(python("memoryview", state=blob(b"a"))),
    check="vocab/python.py: none is ever made",
    must=REFUSED,
)
bad(
    "array_array_unicode",
    "an array.array of a type that is gone",
    x(array(type_("Core.UInt8"), [1], blob(b"a"), python="array.array", typecode="u")),
    check="vocab/python.py: a type code of the table",
)
bad(
    "array_array_width",
    "an array.array of eight-byte numbers with three bytes",
    x(array(type_("Core.UInt8"), [3], blob(b"abc"), python="array.array", typecode="d")),
    check="vocab/python.py: as many bytes as elements",
)
bad(
    "bytearray_size_lies",
    "a bytearray of a million in three bytes",
    x(array(type_("Core.UInt8"), [10**6], blob(b"abc"), python="bytearray")),
    check="vocab/python.py: as many bytes as elements",
)
bad("counter_of_list", "a Counter of a list", x(python("collections.Counter", data=[1])), check=CHECKED)
bad(
    "chainmap_of_text",
    "a ChainMap whose maps are a text",
    x(python("collections.ChainMap", state={"maps": "abc"})),
    check=CHECKED,
    must=EITHER,
)
bad("slice_of_two", "a slice of two numbers", x(python("slice", state=[1, 2])), check=CHECKED)
bad(
    "instance_attributes_alone",
    "the attributes of an instance, without it",
    x(python("instance.attributes", state=1)),
    check=CHECKED,
    must=EITHER,
)
case("key_100kb_text", "a text of 8 MB as a key", READ, "vocab/keys.py: a text is hashed once")(
    lambda: x(python_dict(["k" * (1 << 23)], [1]))
)
bad("key_unhashable", "a list as a key", x(python_dict([[1]], [1])), check=CHECKED)
bad(
    "key_is_nan_twice",
    "two keys that are no number",
    x(python_dict([float("nan"), float("nan")], [1, 2])),
    check="vocab/containers.py: no key twice",
    must=EITHER,
)
case("key_slices", "a slice deep in slices as a key", REFUSED, "vocab/keys.py: what is hashed is looked at first")(
    lambda: x(python_dict([ref(1)], [1]), *[python("slice", state=[ref(n), ref(n), None]) for n in range(2, 42)], 5)
)
