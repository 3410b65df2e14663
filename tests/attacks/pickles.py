"""Files of torch's: pickles that call, storages and tensors that lie, and archives that torch would believe."""

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from attacks.case import EITHER, FORMAT, READ, REFUSED
from attacks.case import give as give_case
from attacks.foreign import Exploit, archive, rebuilt, torch_file

TORCH = "formats/torch.py: torch's own unpickler that calls nothing, and no other"
SIZES = "formats/torch.py: each storage is as long as the pickle says"
LAYOUT = "formats/torch.py: one folder, one pickle, nothing compressed, no program"
ZIP = "formats/foreign/archive.py: both halves of a zip agree, members stand in order, nothing follows"
OLD = "formats/choose.py: files of before PyTorch 1.6 are refused with the line that converts them"

give: Any = partial(give_case, module=__name__)
bad: Any = partial(give, must=FORMAT, every=True)
refused: Any = partial(give, must=REFUSED, every=True)
either: Any = partial(give, must=EITHER)


def text(value: str) -> bytes:
    """A text in a pickle."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def called(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle that calls a name, with arguments that are pickles themselves."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR."


def saved(make: Callable[[], Any], **options: Any) -> Callable[[], bytes]:
    """What torch.save makes of a value, when it is asked for."""

    def write() -> bytes:
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(make(), stream, **options)
        return stream.getvalue()

    return write


# -- pickles that call ------------------------------------------------------------------------------------------------

CALLS = {
    "os_system": ("os", "system", text("id")),
    "posix_system": ("posix", "system", text("id")),
    "subprocess": ("subprocess", "Popen", text("id")),
    "exec": ("builtins", "exec", text("import os")),
    "compile": ("builtins", "compile", text("1"), text("x"), text("exec")),
    "getattr": ("builtins", "getattr", text("a"), text("upper")),
    "import": ("builtins", "__import__", text("os")),
    "open": ("io", "open", text("/tmp/written"), text("w")),
    "runpy": ("runpy", "run_path", text("/etc/passwd")),
    "pickle_loads": ("pickle", "loads", b"C\x01."),
    "numpy_load": ("numpy", "load", text("/etc/passwd")),
    "numpy_fromfile": ("numpy", "fromfile", text("/etc/passwd")),
    "torch_load": ("torch", "load", text("/etc/passwd")),
    "torch_hub": ("torch.hub", "load", text("x/y"), text("z")),
    "torch_from_file": ("torch", "from_file", text("/etc/passwd")),
    "torch_load_library": ("torch.ops", "load_library", text("/tmp/x.so")),
    "torch_jit_load": ("torch.jit", "load", text("/tmp/x.pt")),
    "torch_default_dtype": ("torch", "set_default_dtype", b"ctorch\nfloat64\n"),
    "torch_manual_seed": ("torch", "manual_seed", b"K\x00"),
    "torch_threads": ("torch", "set_num_threads", b"K\x01"),
    "add_safe_globals": ("torch.serialization", "add_safe_globals", b"]"),
    "operator": ("operator", "methodcaller", text("system"), text("id")),
    "functools": ("functools", "partial", b"cos\nsystem\n"),
    "socket": ("socket", "create_connection", text("localhost")),
    "shutil": ("shutil", "rmtree", text("/tmp/x")),
    "numpy_core_f2py": ("numpy.f2py", "compile", text("x")),
    "numpy_testing": ("numpy.testing._private.utils", "runstring", text("import os"), b"}"),
    "torch_dynamo": ("torch._dynamo.guards", "GuardBuilder.get", text("1")),
    "torch_fx": ("torch.fx.graph_module", "_exec_with_source", text("import os"), b"}"),
    "idlelib": ("idlelib.pyshell", "ModifiedInterpreter.runcommand", text("1")),
    "ctypes": ("ctypes", "CDLL", text("libc.so.6")),
    "webbrowser": ("webbrowser", "open", text("http://localhost")),
    "holdfast_load": ("holdfast", "load", text("/etc/passwd")),
    "dotted": ("torch", "serialization.os.system", text("id")),
}
for name, (module, function, *arguments) in CALLS.items():
    bad(
        f"pt_calls_{name}",
        f"a pickle that calls {module}.{function}",
        partial(torch_file, called(module, function, *arguments)),
        check=TORCH,
    )
for protocol in range(6):
    bad(
        f"pt_reduce_protocol_{protocol}",
        f"a pickle of protocol {protocol} that calls",
        partial(torch_file, pickle.dumps(Exploit(print, "id"), protocol)),
        check=TORCH,
    )
OPCODES = {
    "build_on_a_class": b"\x80\x02ctorch\nTensor\n}" + text("x") + b"K\x01sb.",
    "build_of_slots": b"\x80\x02ccollections\nOrderedDict\n)RN}" + text("__class__") + b"K\x01s\x86b.",
    "build_of_class_attribute": b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__class__") + b"K\x01sb.",
    "inst": b"\x80\x02(" + text("id") + b"ios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\n" + text("id") + b"o.",
    "newobj": b"\x80\x02cos\nsystem\n" + text("id") + b"\x85\x81.",
    "newobj_ex": b"\x80\x04cos\nsystem\n" + text("id") + b"\x85}\x92.",
    "stack_global": b"\x80\x04" + text("os") + text("system") + b"\x93" + text("id") + b"\x85R.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent_id": b"\x80\x02Pabc\n.",
    "persistent_id_not_storage": b"\x80\x02(" + text("module") + b"K\x01tQ.",
    "persistent_id_code": b"\x80\x02(" + text("storage") + b"cos\nsystem\n" + text("0") + text("cpu") + b"K\x01tQ.",
    "get_missing": b"\x80\x02h\x05.",
    "pop_of_nothing": b"\x80\x020.",
    "reduce_of_nothing": b"\x80\x02R.",
    "append_to_text": b"\x80\x02" + text("a") + b"K\x01a.",
    "setitems_on_list": b"\x80\x02](K\x00K\x01u.",
    "setitem_on_tensor": rebuilt(4)[:-1] + b"K\x00K\x01s.",
    "setitem_on_ordereddict_class": b"\x80\x02ccollections\nOrderedDict\nK\x00K\x01s.",
    "append_to_size": b"\x80\x02ctorch\nSize\n)RK\x01a.",
    "unhashable_key": b"\x80\x02}]K\x01s.",
    "text_longer_than_file": b"\x80\x02X\xff\xff\xff\x7f.",
    "long_of_2_31": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "bytes8_of_2_62": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
    "negative_long": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "bytearray_of_terabyte": b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85R.",
    "invalid_utf8": b"\x80\x02X\x02\0\0\0\xff\xff.",
    "float_garbage": b"\x80\x02Fnot a number\n.",
    "size_of_2_62": b"\x80\x02ctorch\nSize\n\x8a\x08" + struct.pack("<q", 1 << 62) + b"\x85\x85R0.",
}
for name, program in OPCODES.items():
    bad(f"pt_opcode_{name}", f"a pickle with {name.replace('_', ' ')}", partial(torch_file, program), check=TORCH)
either(
    "pt_opcode_doubling",
    "a list that holds itself twice, thirty times over: 2^30 entries for who walks it",
    partial(torch_file, b"\x80\x02]" + b"q\x00(h\x00h\x00l" * 30 + b"."),
    check="codec/lower.py: what stands twice is walked once",
)
either(
    "pt_opcode_list_in_itself",
    "a list that holds itself",
    partial(torch_file, b"\x80\x02]q\x00h\x00a."),
    check=TORCH,
)
either(
    "pt_dict_of_odd_keys",
    "keys that are numbers, tuples, nothing",
    partial(torch_file, b"\x80\x02}(K\x01K\x01NK\x02K\x05\x85K\x03u."),
    check=TORCH,
)
either("pt_root_is_text", "a text and nothing else", partial(torch_file, b"\x80\x02" + text("hi") + b"."), check=TORCH)
either(
    "pt_terminal_escapes",
    "names that steer a terminal",
    partial(torch_file, b"\x80\x02}" + text("\x1b[2J\x1b]0;x\x07") + b"K\x01s."),
    check="cli/screen.py: only printable characters get through",
)
either(
    "pt_name_backrefs",
    "the name that a file needs for itself",
    partial(torch_file, b"\x80\x02}" + text("_backrefs") + b"K\x01s."),
    check="formats/torch.py: then the file has one value",
)
either(
    "pt_million_tuples",
    "100,000 values in 200 kB",
    partial(torch_file, b"\x80\x02](" + b"K\x01" * 100_000 + b"e."),
    check=TORCH,
)

# -- storages and tensors that lie ------------------------------------------------------------------------------------

FOUR = {"data/0": bytes(16)}


def tensor(
    size: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    offset: int = 0,
    count: int = 4,
    kind: str = "FloatStorage",
) -> bytes:
    """The pickle of a tensor on storage 0 that says all of this."""

    def number(n: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", n)

    def numbers(ns: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, ns)) + b"t"

    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu") + number(count) + b"tQ"
    rest = number(offset) + numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR."


LIES = {
    "negative_size": tensor(size=(-4,)),
    "negative_stride": tensor(stride=(-1,)),
    "negative_offset": tensor(offset=-1),
    "offset_outside": tensor(offset=1 << 40),
    "offset_wraps": tensor(offset=(1 << 62)),
    "size_wraps": tensor(size=(1 << 32, 1 << 32), stride=(1, 1)),
    "stride_wraps": tensor(size=(2,), stride=(1 << 62,)),
    "more_strides": tensor(size=(4,), stride=(1, 1)),
    "fewer_strides": tensor(size=(2, 2), stride=(1,)),
    "count_more": tensor(count=5),
    "count_less": tensor(count=3),
    "count_negative": tensor(count=-4),
    "count_wraps": tensor(count=1 << 62),
    "wider_type": tensor(kind="DoubleStorage"),
    "narrower_type": tensor(kind="ByteStorage"),
    "no_storage_type": tensor(kind="Tensor"),
    "sixty_axes": tensor(size=(2,) * 60, stride=(1,) * 60),
}
for name, program in LIES.items():
    refused(
        f"pt_tensor_{name}",
        f"a tensor that lies: {name.replace('_', ' ')}",
        partial(torch_file, program, **FOUR),
        check=SIZES,
    )
either(
    "pt_tensor_stride_0",
    "2^40 elements on four numbers, by a stride of 0",
    partial(torch_file, tensor(size=(1 << 40,), stride=(0,)), **FOUR),
    check="vocab/torch: a view's elements are not copied",
)
either(
    "pt_tensor_overlaps_itself",
    "a view in which elements share memory",
    partial(torch_file, tensor(size=(2, 2), stride=(1, 1)), **FOUR),
    check="vocab/torch: a view's elements are not copied",
)
either(
    "pt_storage_shared_types",
    "one storage as floats and as bytes",
    partial(
        torch_file,
        b"\x80\x02(" + tensor()[2:-1] + tensor(kind="ByteStorage", count=16, size=(16,))[2:-1] + b"t.",
        **FOUR,
    ),
    check=SIZES,
)
for device in ("cuda:0", "meta", "cuda:99999999999", "nonsense", "../x", "mps"):
    either(
        f"pt_device_{device.replace(':', '_').replace('/', '_')}",
        f"a storage of the device {device}",
        partial(torch_file, tensor().replace(text("cpu"), text(device)), **FOUR),
        check="formats/torch.py: all goes to the CPU",
    )
bad(
    "pt_storage_key_dotdot",
    "a storage whose name is a path",
    partial(torch_file, tensor().replace(text("0"), text("../../../etc/passwd")), **FOUR),
    check=SIZES,
)


def sparse(indices: list[list[int]], values: list[float], size: tuple[int, ...]) -> Any:
    """A sparse tensor whose invariants nobody looked at."""
    return torch.sparse_coo_tensor(torch.tensor(indices), torch.tensor(values), size, check_invariants=False)


for name, make in {
    "sparse_good": lambda: {"s": torch.eye(3).to_sparse()},
    "sparse_outside": lambda: {"s": sparse([[0, 99]], [1.0, 2.0], (3,))},
    "sparse_far_outside": lambda: {"s": sparse([[1 << 40]], [1.0], (3,))},
    "sparse_negative": lambda: {"s": sparse([[-5]], [1.0], (3,))},
    "sparse_csr_lies": lambda: {
        "s": torch.sparse_csr_tensor(
            torch.tensor([0, 99, 2]), torch.tensor([0, 70]), torch.tensor([1.0, 2.0]), (2, 2), check_invariants=False
        )
    },
    "sparse_huge": lambda: {"s": sparse([[0]], [1.0], (1 << 60,))},
    "quantised": lambda: {"q": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8)},
    "quantised_per_channel": lambda: {
        "q": torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8)
    },
    "nested": lambda: {"n": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])},
    "meta": lambda: {"m": torch.ones(4, device="meta")},
    "subclass_parameter": lambda: {"p": torch.nn.Parameter(torch.ones(2))},
    "hooks": lambda: {"h": torch.ones(2, requires_grad=True)},
    "conjugate": lambda: {"c": torch.ones(2, dtype=torch.complex64).conj()},
    "negative_view": lambda: {"i": torch.ones(2, dtype=torch.complex64).conj().imag},
    "untyped_storage": lambda: {"u": torch.ones(2).untyped_storage()},
    "generator": lambda: {"g": torch.Generator().get_state()},
    "numpy_scalar": lambda: {"n": np.float64(1)},
    "numpy_array": lambda: {"n": np.ones(2)},
    "numpy_objects": lambda: {"n": np.array([Exploit(print, "id")], dtype=object)},
    "whole_module": lambda: torch.nn.Linear(2, 2),
    "optimiser_object": lambda: torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1),
    "function": lambda: {"f": torch.relu},
    "half_types": lambda: {str(d): torch.zeros(2, dtype=d) for d in (torch.bfloat16, torch.float8_e4m3fn)},
}.items():
    either(
        f"pt_holds_{name}",
        f"what torch.save makes of it: {name.replace('_', ' ')}",
        saved(make),
        check="formats/torch.py: what the rules cannot take over is refused",
    )
bad(
    "pt_legacy_save",
    "torch.save as it was before 1.6",
    saved(lambda: {"w": torch.ones(2)}, _use_new_zipfile_serialization=False),
    check=OLD,
)
bad(
    "pt_legacy_exploit",
    "the same, whose pickle runs a command",
    saved(lambda: {"w": Exploit(print, "id")}, _use_new_zipfile_serialization=False),
    check=OLD,
)


def script() -> bytes:
    """A program, as torch.jit saves it."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1)), stream)
    return stream.getvalue()


bad("pt_torchscript", "a program that torch.jit saved", script, check=LAYOUT)
bad(
    "pt_script_without_constants",
    "a program without its constants",
    partial(archive, {"m/data.pkl": b"\x80\x02}.", "m/code/__torch__.py": b"import os"}),
    check=LAYOUT,
)

# -- archives that torch would believe --------------------------------------------------------------------------------

PROGRAM = rebuilt(4)


def members(*pairs: tuple[str, bytes]) -> bytes:
    """An archive whose names may stand twice."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as file:
        warnings.simplefilter("ignore")
        for name, data in pairs:
            file.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


REST = (("m/byteorder", b"little"), ("m/version", b"3\n"), ("m/data/0", bytes(16)))
GOOD = members(("m/data.pkl", PROGRAM), *REST)
LOCAL, ENTRY, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def patched(data: bytes, signature: bytes, offset: int, value: bytes, which: int = 0) -> bytes:
    """``data`` with other bytes behind the signature that is number ``which``."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    return data[: at + offset] + value + data[at + offset + len(value) :]


def both(local: int, entry: int, value: bytes) -> bytes:
    """The same lie in front of the first member and in the directory."""
    return patched(patched(GOOD, LOCAL, local, value), ENTRY, entry, value)


WORD, FAR = struct.pack("<I", 0xFFFFFFFF), struct.pack("<I", 0x7FFFFFF0)
LYING: dict[str, bytes] = {
    "pickle_twice": members(("m/data.pkl", PROGRAM), *REST, ("m/data.pkl", b"\x80\x02cos\nsystem\n(X\2\0\0\0idtR.")),
    "storage_twice": members(("m/data.pkl", PROGRAM), *REST, ("m/data/0", bytes(8))),
    "two_folders": members(("m/data.pkl", PROGRAM), *REST, ("n/data.pkl", PROGRAM)),
    "encrypted": both(6, 8, b"\1\0"),
    "strong_encryption": both(6, 8, b"\x41\0"),
    "encrypted_in_front_only": patched(GOOD, LOCAL, 6, b"\1\0"),
    "flags_in_front_only": patched(GOOD, LOCAL, 6, b"\0\x08"),
    "streamed_in_directory_only": patched(GOOD, ENTRY, 8, b"\x08\0"),
    "patch_data": both(6, 8, b"\x20\0"),
    "method_99": both(8, 10, b"\x63\0"),
    "method_bzip2": both(8, 10, b"\x0c\0"),
    "method_deflate_of_stored": both(8, 10, b"\x08\0"),
    "crc_in_directory": patched(GOOD, ENTRY, 16, b"\1\2\3\4"),
    "crc_in_both": both(14, 16, b"\1\2\3\4"),
    "size_in_front": patched(GOOD, LOCAL, 22, FAR),
    "size_in_directory": patched(GOOD, ENTRY, 24, FAR),
    "size_in_both": both(22, 24, FAR),
    "taken_in_both": both(18, 20, FAR),
    "zip64_sizes_without_field": both(22, 24, WORD),
    "zip64_taken_without_field": both(18, 20, WORD),
    "offset_outside": patched(GOOD, ENTRY, 42, FAR),
    "offset_zip64_without_field": patched(GOOD, ENTRY, 42, WORD),
    "two_on_one_offset": patched(GOOD, ENTRY, 42, bytes(4), which=1),
    "overlapping": patched(patched(GOOD, LOCAL, 18, b"\xff\0\0\0"), ENTRY, 20, b"\xff\0\0\0"),
    "name_longer_than_file": patched(GOOD, LOCAL, 26, b"\xff\xff"),
    "extra_longer_than_file": patched(GOOD, LOCAL, 28, b"\xff\xff"),
    "directory_name_long": patched(GOOD, ENTRY, 28, b"\xff\xff"),
    "directory_comment_long": patched(GOOD, ENTRY, 32, b"\xff\xff"),
    "disk_of_member": patched(GOOD, ENTRY, 34, b"\5\0"),
    "end_count_0": patched(GOOD, END, 8, b"\0\0\0\0"),
    "end_count_more": patched(GOOD, END, 8, b"\xff\0\xff\0"),
    "end_size_0": patched(GOOD, END, 12, bytes(4)),
    "end_size_far": patched(GOOD, END, 12, FAR),
    "end_offset_far": patched(GOOD, END, 16, FAR),
    "end_disk": patched(GOOD, END, 4, b"\1\0"),
    "end_comment": patched(GOOD, END, 20, b"\xff\xff"),
    "end_zip64_words": patched(GOOD, END, 8, b"\xff" * 12),
    "end_twice": GOOD + GOOD[GOOD.index(END) :],
    "end_in_comment": GOOD[:-2] + b"\x16\0" + GOOD[GOOD.index(END) :],
    "name_with_nul": GOOD.replace(b"m/version", b"m/vers\0on"),
    "name_absolute": members(("/etc/data.pkl", PROGRAM), ("/etc/data/0", bytes(16))),
    "name_dotdot": members(("../data.pkl", PROGRAM), ("../data/0", bytes(16)), ("../../x", b"")),
    "name_backslash": members(("m\\data.pkl", PROGRAM), ("m\\data/0", bytes(16))),
    "name_deep": members(("m/n/data.pkl", PROGRAM), ("m/n/data/0", bytes(16))),
    "name_only": members(("data.pkl", PROGRAM), ("data/0", bytes(16))),
    "byteorder_big": members(("m/data.pkl", PROGRAM), ("m/byteorder", b"big"), *REST[1:]),
    "byteorder_nonsense": members(("m/data.pkl", PROGRAM), ("m/byteorder", b"x" * 100), *REST[1:]),
    "version_nonsense": members(("m/data.pkl", PROGRAM), ("m/version", b"nine"), REST[2]),
    "version_huge": members(("m/data.pkl", PROGRAM), ("m/version", b"9" * 5000), REST[2]),
    "version_negative": members(("m/data.pkl", PROGRAM), ("m/version", b"-1"), REST[2]),
}
MEANS_NOTHING = {
    *(
        "name_backslash",
        "name_absolute",
        "name_dotdot",
        "version_nonsense",
        "version_huge",
        "version_negative",
        "patch_data",
    ),
    *("byteorder_big", "byteorder_nonsense", "disk_of_member"),
}
"""Those of which what is read is right, should it be read: a name is no path here, and these fields say nothing."""
for name, data in LYING.items():
    (either if name in MEANS_NOTHING else refused)(
        f"pt_zip_{name}",
        f"a file of torch's whose archive lies: {name.replace('_', ' ')}",
        data,
        check=ZIP,
    )
give("pt_zip_good", "the archive that these are made of, for comparison", GOOD, must=READ, check=ZIP)


def linked() -> bytes:
    """A member that says it is a link of the file system's."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in (("m/data.pkl", PROGRAM), *REST[:2]):
            file.writestr(zipfile.ZipInfo(name), data)
        link = zipfile.ZipInfo("m/data/0")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        file.writestr(link, b"/etc/passwd\0\0\0\0\0")
    return stream.getvalue()


give(
    "pt_zip_link",
    "a member that is a link: its bytes are numbers",
    linked,
    must=READ,
    check="formats/foreign/archive.py: nothing is unpacked",
)
bad(
    "pt_zip_70000_members",
    "70,000 members",
    lambda: members(*((f"m/data/{n}", b"") for n in range(70_000))),
    check=LAYOUT,
)
