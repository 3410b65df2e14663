"""Objects: attributes that would be run, parts that are none, optimisers of what is no tensor."""

from functools import partial
from typing import Any

from attacks.build import (
    blob,
    module,
    optimiser,
    parameter,
    python,
    python_dict,
    ref,
    tensor,
    tuple_,
    x,
)
from attacks.case import EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case

OWN = "vocab/anatomy.py: Python's own names and methods are no attributes"
TORCHS = "vocab/torch/attributes.py: what belongs to torch is no attribute"
PARTS = "vocab/torch/modules.py: parts are named, and of the right class"
CHECKED = "codec/lift.py: a rule that does not find what it expects is a FormatError"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT)
read: Any = partial(give, must=READ)

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
