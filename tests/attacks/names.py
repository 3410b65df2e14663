"""Python's side: names that would be code."""

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
    tuple_,
    type_,
    x,
)
from attacks.case import FORMAT, READ, UNTRUSTED, case
from attacks.case import give as give_case

TABLE = "codec/lift.py: a name is looked up in exact tables, and only there"
NAMED = "vocab/named.py: only functions that compute stand in the table"

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
