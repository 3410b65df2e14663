"""torch's small values: dtype, device, Size, layout, memory_format, Generator.

Strategy: a constant goes by its name, which is looked up in an exact table. A device is a name and a number and touches
no hardware. A generator is its state; the one that comes back is new, in the same state.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from holdfast.codec.rule import Fields, Items, Rule
from holdfast.errors import FormatError, MismatchError
from holdfast.vocab.torch.layouts import lengths
from holdfast.vocab.torch.tensors import DTYPES
from holdfast.wire.values import Blob


def _constants(kind: type) -> dict[str, Any]:
    return {str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, kind)}


def constant_rule(name: str, kind: type, table: Mapping[str, Any]) -> Rule:
    """The rule of torch's constants of one type: each is its name."""

    def lower(value: Any) -> Fields:
        return Fields(tag="python", type=name, state=str(value).removeprefix("torch."))

    def lift(level: Fields) -> Any:
        state = level["state"]
        if not isinstance(state, str) or state not in table:
            raise FormatError(f"{state!r:.60} is no {name}")
        return table[state]

    return Rule("python", name, (kind,), lower, lift, identity=False)


# -- devices ----------------------------------------------------------------------------------------------------------

DEVICES: Final = ("cpu", "cuda", "meta", "mps", "xpu", "hpu", "mtia", "xla", "ipu", "hip", "vulkan", "privateuseone")
DEVICE: Final = re.compile(rf"({'|'.join(DEVICES)})(:\d{{1,2}})?")
"""A kind of device that torch knows by itself, and a number."""


def device_named(name: Any) -> torch.device:
    """The device that ``name`` says, whether this machine has it or not. Raises FormatError for what is none."""
    if not isinstance(name, str) or not DEVICE.fullmatch(name):
        raise FormatError(f"{name!r:.60} is no device")
    return torch.device(name)


# -- generators -------------------------------------------------------------------------------------------------------


def lower_generator(value: torch.Generator) -> Fields:
    state = Blob(memoryview(value.get_state().numpy().tobytes()))
    return Fields(tag="python", type="torch.Generator", device=str(value.device), state=state)


def lift_generator(level: Fields) -> torch.Generator:
    """A new generator in the state of the file. Raises MismatchError where this machine has no such device."""
    device, state = device_named(level["device"]), level["state"]
    if not isinstance(state, bytes):
        raise FormatError(f"the state of a generator is a {type(state).__name__}")
    try:
        generator = torch.Generator(device)
    except RuntimeError as error:
        raise MismatchError(f"the file holds a random generator of the device {device}, which is not here") from error
    try:
        generator.set_state(torch.from_numpy(np.frombuffer(bytearray(state), np.uint8)))
    except RuntimeError as error:
        raise FormatError(f"{len(state):,} bytes are not the state of a random generator: {error}") from error
    return generator


RULES: Final = [
    constant_rule("torch.dtype", torch.dtype, DTYPES),
    constant_rule("torch.layout", torch.layout, _constants(torch.layout)),
    constant_rule("torch.memory_format", torch.memory_format, _constants(torch.memory_format)),
    Rule(
        "python",
        "torch.device",
        (torch.device,),
        lower=lambda value: Fields(tag="python", type="torch.device", state=str(value)),
        lift=lambda level: device_named(level["state"]),
        identity=False,
    ),
    Rule(
        "python",
        "torch.Size",
        (torch.Size,),
        lower=lambda value: Fields(tag="tuple", data=Items(value), python="torch.Size"),
        lift=lambda level: torch.Size(lengths(level["data"], "size")),
        identity=False,
    ),
    Rule("python", "torch.Generator", (torch.Generator,), lower_generator, lift_generator),
]
