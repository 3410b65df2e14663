"""What Holdfast promises, shown on whole files through the public names."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest
import torch
from torch import nn

import holdfast
from holdfast import ChecksumError, FormatError, HoldfastError, MismatchError, UnsupportedError, UntrustedError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.embed(x))
        return out


class Other(nn.Module):
    pass


def test_tied_weights_are_written_once_and_stay_tied(tmp_path: Path) -> None:
    big = nn.ModuleDict({"embed": nn.Embedding(5000, 64), "head": nn.Linear(64, 5000, bias=False)})
    big["head"].weight = big["embed"].weight
    holdfast.save(tmp_path / "m.bson", model=big)
    unique = big["embed"].weight.nbytes
    assert (tmp_path / "m.bson").stat().st_size / unique < 1.005
    back = holdfast.load(tmp_path / "m.bson", "model")
    assert back["head"].weight is back["embed"].weight


def test_an_optimiser_drives_the_model_that_was_loaded_with_it(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    opt = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    opt.step()
    holdfast.save(tmp_path / "m.bson", model=model, opt=opt)
    back, driver = holdfast.load(tmp_path / "m.bson", "model", "opt")
    assert driver.param_groups[0]["params"][0] is back[0].weight
    for one, optimiser in ((model, opt), (back, driver)):
        optimiser.zero_grad()
        one(torch.ones(2, 4)).sum().backward()
        optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), back.parameters(), strict=True))


def test_a_class_that_nobody_allowed(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, model=Net(), other=[Other()])
    with pytest.raises(UntrustedError) as caught:
        holdfast.load(path)
    assert set(caught.value.names) == {f"{Net.__module__}.Net", f"{Net.__module__}.Other"}
    assert "classes=[Net, Other]" in str(caught.value)
    model = holdfast.load(path, "model", classes=[Net])
    assert model.head.weight is model.embed.weight


def test_loading_imports_runs_and_writes_nothing(tmp_path: Path) -> None:
    """In a process of its own, since an audit hook cannot be taken away."""
    path = tmp_path / "m.bson"
    holdfast.save(path, model=nn.Sequential(nn.Linear(2, 2)), state={"a": [1, (2,)]}, other=Other())
    code = f"""
import sys, torch, holdfast
from holdfast import UntrustedError
holdfast.load({str(path)!r}, "model", "state")  # our own modules are imported on first use
seen = []
BAD = ("import", "exec", "compile", "subprocess", "os.system", "os.exec", "socket", "ctypes", "pickle", "marshal")
def hook(event, arguments):
    if event.startswith(BAD) or (event == "open" and arguments[1] and set(str(arguments[1])) & set("wax+")):
        seen.append((event, arguments))
modules = set(sys.modules)
sys.addaudithook(hook)
holdfast.load({str(path)!r}, "model", "state")
try:
    holdfast.load({str(path)!r})
    sys.exit("loaded a class that nobody allowed")
except UntrustedError:
    pass
assert not seen, seen
assert set(sys.modules) == modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


DEVNULL = open(os.devnull)  # noqa: SIM115


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), lambda x: x, (i for i in ()), sys, DEVNULL],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_saved_is_named_by_its_path_and_the_old_file_stays(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, model=1)
    before = path.read_bytes()
    with pytest.raises(UnsupportedError) as caught:
        holdfast.save(path, model={"layers": [1, 2, {"act": value}]})
    assert caught.value.path == "$.model['layers'][2]['act']"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.bson"]


def test_a_hook_is_named_by_its_layer(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[1].register_forward_hook(lambda *args: None)
    with pytest.raises(UnsupportedError, match="hook") as caught:
        holdfast.save(tmp_path / "m.bson", model=model)
    assert caught.value.path.startswith("$.model[1]")


def sixty_four_kib(path: Path) -> bytes:
    """A file of just under 64 KiB with all kinds of values."""
    holdfast.save(
        path,
        model=nn.Linear(20, 30),
        arrays=[np.arange(1000.0).reshape(25, 40), np.arange(100, dtype=np.int8), torch.ones(5, dtype=torch.bfloat16)],
        values={"text": "é", "n": 2**70, "d": {1: (2, None)}, "raw": b"bytes", "x": 1.5},
        padding=np.arange(6400.0),
    )
    return path.read_bytes()


def test_one_flipped_bit_anywhere(tmp_path: Path) -> None:
    """Every bit of the frame as a whole file, every bit of the arrays against their checksums."""
    from holdfast.wire.checksum import checksum, frame_checksum
    from holdfast.wire.read import read_document, trailer_checksum

    data = sixty_four_kib(tmp_path / "m.bson")
    assert 60_000 < len(data) < 66_000
    blobs = [(blob.offset or 0, blob.nbytes) for blob in read_document(data).blobs]
    inside = np.zeros(len(data), bool)
    for offset, size in blobs:
        inside[offset : offset + size] = True
    missed = []
    for position in np.flatnonzero(~inside):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            try:
                reading = read_document(bytes(damaged))
            except FormatError:
                continue
            if not reading.sealed or frame_checksum(memoryview(damaged), reading.blobs) == trailer_checksum(damaged):
                missed.append((position, bit))
    for offset, size in blobs:
        original = checksum(memoryview(data)[offset : offset + size])
        array = bytearray(data[offset : offset + size])
        for position in range(size):
            for bit in range(8):
                array[position] ^= 1 << bit
                if checksum(memoryview(array)) == original:
                    missed.append((offset + position, bit))
                array[position] ^= 1 << bit
    assert not missed


def test_flipped_bits_through_the_public_names(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    data = sixty_four_kib(path)
    for position in range(0, len(data), 997):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        for work in (holdfast.load, holdfast.verify):
            with pytest.raises((ChecksumError, FormatError)):
                work(path)


def test_the_damaged_value_is_named_and_the_others_load(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, good=np.arange(1000.0), bad=np.arange(1000.0) + 1)
    data = bytearray(path.read_bytes())
    at = bytes(data).index((np.arange(1000.0) + 1).tobytes())
    data[at + 123] ^= 4
    path.write_bytes(data)
    with pytest.raises(ChecksumError) as caught:
        holdfast.load(path)
    assert caught.value.names == ("bad",)
    assert np.array_equal(holdfast.load(path, "good"), np.arange(1000.0))
    assert holdfast.load(path, "bad", verify=False)[0] == 1


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    from holdfast.wire.read import read_document

    data = sixty_four_kib(tmp_path / "m.bson")
    for cut in range(len(data)):
        with pytest.raises(FormatError):
            read_document(data[:cut])


def test_a_file_is_strict_bson(tmp_path: Path) -> None:
    document = bson.decode(sixty_four_kib(tmp_path / "m.bson"))
    assert document["values"]["text"] == "é"
    assert document["arrays"][1]["size"] == [100]


def test_a_model_of_5_gib_needs_no_memory_for_it(tmp_path: Path) -> None:
    """Five arrays of 1 GiB from a sparse file, planned, laid out as a sparse file, and loaded again; in a process of
    its own, whose peak memory beyond the imports must stay under 64 MiB."""
    code = f"""
import mmap, os, resource, struct
import numpy as np
import holdfast
from holdfast.codec.lower import lower
from holdfast.vocab import vocabulary
from holdfast.wire.plan import plan_document
GIB = 1 << 30
with open({str(tmp_path / "source")!r}, "wb") as file:
    file.truncate(GIB)
source = open({str(tmp_path / "source")!r}, "rb")
arrays = [np.frombuffer(mmap.mmap(source.fileno(), GIB, prot=mmap.PROT_READ), np.float32) for _ in range(5)]
holdfast.save({str(tmp_path / "small.bson")!r}, x=arrays[0][:10])
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plan = plan_document(lower({{f"layer{{i}}": array.reshape(1024, -1) for i, array in enumerate(arrays)}}, vocabulary()))
assert plan.size > 5 * GIB
with open({str(tmp_path / "large.bson")!r}, "wb") as file:  # a writer that seeks over the blobs: they are all zeros
    for buffer in plan.buffers():
        file.seek(len(buffer), os.SEEK_CUR) if len(buffer) == GIB else file.write(buffer)
    assert file.tell() == plan.size
model = holdfast.load({str(tmp_path / "large.bson")!r}, verify=False)
assert [array.shape for array in model.values()] == [(1024, 262144)] * 5
model["layer4"][1023, 262143] = 7
assert holdfast.load({str(tmp_path / "large.bson")!r}, "layer4", verify=False)[1023, 262143] == 0
extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
assert extra < 64, f"{{extra:.0f}} MiB"
length = struct.unpack("<I", open({str(tmp_path / "large.bson")!r}, "rb").read(4))[0]
assert length == plan.size % 2**32
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_saving_over_the_file_that_a_model_is_mapped_from(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, x=torch.arange(100_000))
    x = holdfast.load(path, "x")
    holdfast.save(path, x=x, y=x * 2)
    x += 1
    back = holdfast.load(path)
    assert torch.equal(back["x"], torch.arange(100_000))
    assert torch.equal(back["y"], torch.arange(100_000) * 2)


def test_training_a_mapped_model_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, model=nn.Linear(100, 100))
    before = path.read_bytes()
    model = holdfast.load(path, "model")
    model.weight.data += 1
    model.weight.grad = torch.ones_like(model.weight)
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert path.read_bytes() == before
    holdfast.verify(path)


def test_restore_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.bson"
    holdfast.save(path, model=nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    live = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))
    before = {name: tensor.clone() for name, tensor in live.state_dict().items()}
    with pytest.raises(MismatchError) as caught:
        holdfast.restore(path, model=live)
    assert len(caught.value.differences) == 2
    assert all("1." in difference for difference in caught.value.differences)
    assert all(torch.equal(before[name], tensor) for name, tensor in live.state_dict().items())


@pytest.mark.parametrize("mmap", [True, False])
def test_missing_name_says_what_is_there(tmp_path: Path, mmap: bool) -> None:
    holdfast.save(tmp_path / "m.bson", model=1)
    with pytest.raises(KeyError, match="'model'"):
        holdfast.load(tmp_path / "m.bson", "modle", mmap=mmap)


@pytest.mark.parametrize(
    "data", [b"", b"PK\3\4 a zip", b"\x80\x02}q\0.", b"\0" * 100], ids=["empty", "zip", "pickle", "zeros"]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.bson").write_bytes(data)
    for work in (holdfast.load, holdfast.inspect, holdfast.verify):
        with pytest.raises(HoldfastError):
            work(tmp_path / "m.bson")
