"""Snapshots: what happens after ``take`` never reaches the file, in place or not, copied at once or later."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import torch

from holdfast import load, save, verify
from holdfast.checkpoint import overlap, snapshot, staging
from holdfast.checkpoint.staging import Staging
from holdfast.checkpoint.writer import Writer
from holdfast.errors import HoldfastError, UnsupportedError
from holdfast.vocab import vocabulary
from holdfast.wire.plan import LARGE

LONG = LARGE // 4 + 3
"""float32 elements of an array that counts as large."""


class Filling(torch.optim.Optimizer):
    """A step fills every parameter, and a tensor of its state, with the step's number."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})
        self.number = 0

    def step(self, closure=None):
        self.number += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(self.number)
                self.state[parameter].setdefault("average", torch.zeros_like(parameter)).fill_(self.number)


def take(values, memory=None):
    return snapshot.take(values, vocabulary(), memory or Staging())


def published(shot, folder, name="s.bson"):
    shot.publish(folder / name)
    verify(folder / name)
    return load(folder / name)


def test_the_file_is_the_one_that_save_writes(tmp_path):
    values = {"x": np.arange(LONG, dtype=np.float32), "empty": np.zeros(0), "n": [1, 2.5, "three", {"a": None}]}
    save(tmp_path / "a.bson", values)
    shot = take(values)
    size = shot.size
    shot.publish(tmp_path / "b.bson")
    assert (tmp_path / "a.bson").read_bytes() == (tmp_path / "b.bson").read_bytes()
    assert os.path.getsize(tmp_path / "b.bson") == size


def test_nothing_that_happens_afterwards_reaches_the_file(tmp_path):
    weights, history = torch.zeros(LONG), [1, 2, {"deep": [3]}]
    words, numbers = {"a": "b"}, np.arange(5)
    buffer = bytearray(b"bytes")
    shot = take({"weights": weights, "history": history, "words": words, "numbers": numbers, "buffer": buffer})
    weights += 1
    weights.data = torch.ones(3)
    history[2]["deep"].append(4)
    history.append(5)
    words.clear()
    numbers[:] = 9
    buffer[:] = b"other"
    found = published(shot, tmp_path)
    assert torch.equal(found["weights"], torch.zeros(LONG))
    assert found["history"] == [1, 2, {"deep": [3]}]
    assert found["words"] == {"a": "b"}
    assert found["numbers"].tolist() == list(range(5))
    assert found["buffer"] == bytearray(b"bytes")


VALUES = {
    "strided": lambda: torch.arange(4.0 * LONG).reshape(2, -1)[:, ::2],
    "transposed": lambda: torch.arange(2.0 * LONG).reshape(2, -1).t(),
    "bfloat16": lambda: torch.arange(LONG, dtype=torch.bfloat16),
    "sharing": lambda: (lambda x: [x, x[3:9], x.view(-1)])(torch.arange(float(LONG))),
    "fortran": lambda: np.asfortranarray(np.arange(2.0 * LONG).reshape(2, -1)),
    "text": lambda: np.array(["a", "bc"]),
    "module": lambda: torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.BatchNorm1d(300)),
}


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_of_memory_is_copied(tmp_path, name):
    value = VALUES[name]()
    save(tmp_path / "before.bson", value=value)
    shot = take({"value": value})
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, torch.nn.Module):
            waiting += [*part.parameters(), *part.buffers()]
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, torch.Tensor):
            part.data.fill_(7)
        else:
            part[...] = part.flat[0]
    shot.publish(tmp_path / "after.bson")
    assert (tmp_path / "before.bson").read_bytes() == (tmp_path / "after.bson").read_bytes()


def test_staging_memory_is_used_again(tmp_path):
    memory, values = Staging(), {"x": np.zeros(1 << 20)}
    addresses = set()
    for _ in range(5):
        shot = take(values, memory)
        addresses.add(np.frombuffer(shot.blobs[0].data, np.uint8).ctypes.data)
        assert addresses.isdisjoint({values["x"].ctypes.data})
        shot.publish(tmp_path / "s.bson")
    assert len(addresses) == 1


def test_two_snapshots_at_once_have_memory_of_their_own(tmp_path):
    memory = Staging()
    shots = [take({"x": np.full(LONG, number)}, memory) for number in range(3)]
    for number, shot in reversed(list(enumerate(shots))):
        assert (published(shot, tmp_path)["x"] == number).all()
    assert len(memory._spare) == staging.SPARE


def test_memory_grows_with_the_state(tmp_path):
    memory = Staging()
    for size in (LONG, 1 << 20, 5 << 20, LONG):
        assert (published(take({"x": np.full(size, size)}, memory), tmp_path)["x"] == size).all()
    assert len(memory._spare) == 1


def test_memory_comes_back_whatever_happens(tmp_path):
    memory, values = Staging(), {"x": np.zeros(LONG)}
    take(values, memory).publish(tmp_path / "s.bson")
    first = memory._spare[0]
    shot = take(values, memory)
    with pytest.raises(OSError, match="folder does not exist"):
        shot.publish(tmp_path / "nowhere" / "s.bson")
    assert list(memory._spare) == [first]
    with pytest.raises(HoldfastError, match="once"):
        shot.publish(tmp_path / "s.bson")
    take(values, memory).release()
    assert list(memory._spare) == [first]
    take(values, memory)
    gc.collect()
    assert list(memory._spare) == [first]


def test_what_cannot_be_saved_leaves_memory_alone():
    memory = Staging()
    with pytest.raises(UnsupportedError, match=r"\$\.bad"):
        take({"x": np.zeros(LONG), "bad": threading.Lock()}, memory)
    assert not memory._spare


def test_copying_in_pieces_and_threads():
    source = np.random.default_rng(1).integers(0, 255, staging.WORTH_A_THREAD + 12345, np.uint8)
    target = np.zeros_like(source)
    staging.copy([(target.data, source.data)])
    assert np.array_equal(source, target)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("holdfast")]


# -- 1,000 changes in place while files are written --------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(150, 150) for _ in range(2))
        self.register_buffer("seen", torch.zeros(LONG))


def numbers_in(path):
    """The number that each tensor of the file is filled with; -1 for one that holds two."""
    found = load(path)
    tensors = [*found["model"].parameters(), found["model"].seen, *(s["average"] for s in found["opt"].state.values())]
    every = {float(tensor.detach().flatten()[0]) for tensor in tensors}
    mixed = [tensor for tensor in tensors if (tensor != tensor.flatten()[0]).any()]
    return (every | {float(found["number"])}) | ({-1.0} if mixed else set())


@pytest.mark.parametrize("way", ["copy", "overlap"])
def test_no_file_mixes_two_steps(tmp_path, way, monkeypatch):
    """1,000 steps, a snapshot after each: whatever is written meanwhile holds one step, wholly."""
    monkeypatch.setattr(overlap, "LARGE", 500)  # so that more than the matrices is copied later
    model = Net()
    opt = Filling(model.parameters())
    memory, writer = Staging(), Writer()
    paths = []
    ways = {
        "copy": lambda values: snapshot.take(values, VOCABULARY, memory),
        "overlap": lambda values: overlap.take(values, VOCABULARY, memory, [opt]),
    }

    def write(shot, path):
        paths.append(path)
        shot.publish(path, durable=False)

    opt.step()
    model.seen.fill_(1)
    for number in range(1, 1001):
        values = {"model": model, "opt": opt, "number": number}
        shot = ways[way](values)
        path = tmp_path / f"{number}.bson"
        writer.submit(lambda shot=shot, path=path: write(shot, path), path.name, dropped=shot.release)
        del shot
        model.seen.fill_(number + 1)
        opt.step()
    writer.close()
    assert len(paths) > 20
    assert paths[-1].name == "1000.bson"
    for path in paths[:: max(1, len(paths) // 60)] + paths[-1:]:
        assert numbers_in(path) == {float(path.stem)}, path.name
    assert not overlap._active() or not any(shot.pieces for shot in overlap._active())


VOCABULARY = vocabulary([Net, Filling])


@pytest.fixture(autouse=True)
def _known_classes(monkeypatch):
    monkeypatch.setitem(globals(), "load", lambda path, *names: load_(path, *names, classes=[Net, Filling], mmap=False))


load_ = load


# -- overlap ----------------------------------------------------------------------------------------------------------


def overlapped(values, *optimisers, memory=None):
    return overlap.take(values, vocabulary(), memory or Staging(), optimisers)


def test_parameters_and_state_are_copied_later_and_all_else_at_once():
    model = Net()
    opt = torch.optim.Adam(model.parameters(), amsgrad=True)
    model.layers[0].weight.sum().backward()
    opt.step()
    shot = overlapped({"model": model, "opt": opt}, opt)
    later = sum(target.nbytes for piece in shot.pieces for target, _ in [piece.pair])
    assert later == 2 * model.layers[0].weight.nbytes + 3 * model.layers[0].weight.nbytes
    assert {owner for piece in shot.pieces for owner in piece.owners} == {id(opt)}
    shot.release()


def test_a_step_waits_only_for_what_it_changes(tmp_path):
    first, second = (torch.nn.Parameter(torch.zeros(LONG)) for _ in range(2))
    one, two = Filling([first]), Filling([second])
    shot = overlapped({"first": first, "second": second}, one, two)
    one.step()
    assert sorted(piece.pair is None for piece in shot.pieces) == [False, True]
    two.step()
    found = published(shot, tmp_path)
    assert not found["first"].any()
    assert not found["second"].any()


def test_a_step_of_an_optimiser_that_is_not_known_waits_for_all(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(LONG))
    shot = overlapped({"x": parameter}, Filling([parameter]))
    Filling([parameter]).step()
    assert not published(shot, tmp_path)["x"].any()


def test_code_that_changes_parameters_itself_settles_first(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(LONG))
    shot = overlapped({"x": parameter}, Filling([parameter]))
    overlap.settle_all()
    parameter.data.fill_(1)
    assert not published(shot, tmp_path)["x"].any()


def test_a_step_never_waits_for_a_writer_that_failed_or_never_came():
    parameter = torch.nn.Parameter(torch.zeros(LONG))
    opt, memory = Filling([parameter]), Staging()
    shots = [overlapped({"x": parameter}, opt, memory=memory) for _ in range(3)]
    with pytest.raises(OSError, match="folder does not exist"):
        shots[0].publish("/nowhere/at/all.bson")
    shots[1].release()
    del shots[1]
    opt.step()
    assert all(piece.pair is None for shot in shots for piece in shot.pieces)


def test_a_step_and_the_writer_copy_side_by_side(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(40 << 20, dtype=torch.uint8), requires_grad=False)
    opt = Filling([parameter])
    memory = Staging()
    for number in range(4):
        parameter.data.fill_(number)
        shot = overlapped({"x": parameter}, opt, memory=memory)
        assert len(shot.pieces) == 5
        writer = threading.Thread(target=shot.publish, args=(tmp_path / "s.bson",), kwargs={"durable": False})
        writer.start()
        opt.step()
        writer.join()
        assert (load(tmp_path / "s.bson", "x") == number).all()


class Unhooked:
    """An optimiser that is none of torch's: no hook is called before its steps."""

    def __init__(self, parameters):
        self.param_groups = [{"params": parameters}]
        self.state = {}


def test_an_optimiser_without_hooks_is_copied_at_once(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(LONG))
    shot = overlapped({"x": parameter}, Unhooked([parameter]))
    parameter.data.fill_(1)
    assert not published(shot, tmp_path)["x"].any()


def test_a_flux_optimiser_is_known_by_its_members(tmp_path):
    from holdfast import flux

    model = flux.Dense(300, 300)
    opt = flux.ADAM(flux.params(model))
    flux.params(model)[0].sum().backward()
    opt.step()
    before = model.weight.detach().clone()
    shot = overlapped({"model": model, "opt": opt}, opt)
    assert shot.pieces
    opt.step()
    shot.publish(tmp_path / "s.bson")
    assert torch.equal(load_(tmp_path / "s.bson", "model").weight, before)
    assert not torch.equal(model.weight, before)


# -- the end of the program, forks -------------------------------------------------------------------------------------


def run(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_that_just_ends_leaves_a_whole_file(tmp_path):
    """The job begins when threads can no longer be started."""
    done = run(
        """
        import sys, time
        import numpy as np
        from holdfast.checkpoint import snapshot
        from holdfast.checkpoint.staging import Staging
        from holdfast.checkpoint.writer import Writer
        from holdfast.vocab import vocabulary
        values = {f"x{number}": np.full(1 << 18, number) for number in range(4)}
        shot = snapshot.take(values, vocabulary(), Staging())
        def write():
            time.sleep(0.3)
            shot.publish(sys.argv[1])
        Writer().submit(write, "step 1")
        """,
        tmp_path / "s.bson",
    )
    assert (done.returncode, done.stderr) == (0, "")
    verify(tmp_path / "s.bson")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_disturbs_nothing(tmp_path):
    parameter = torch.nn.Parameter(torch.zeros(LONG))
    opt, memory = Filling([parameter]), Staging()
    take({"x": np.zeros(LONG)}, memory).release()
    shot = overlapped({"x": parameter}, opt, memory=memory)
    shot.pieces[0].lock.acquire()  # as the writer may hold it at that very moment
    child = os.fork()
    if child == 0:
        code = 1
        try:
            opt.step()
            try:
                shot.publish(tmp_path / "child.bson")
            except HoldfastError:
                code = 0
            shot.release()
            take({"x": np.ones(LONG)}, memory).publish(tmp_path / "own.bson")
        except BaseException:
            code = 2
        os._exit(code)
    shot.pieces[0].lock.release()
    end, status = time.monotonic() + 10, (0, 0)
    while status[0] == 0 and time.monotonic() < end:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, signal.SIGKILL)
    assert status == (child, 0)
    assert not published(shot, tmp_path)["x"].any()
    assert not (tmp_path / "child.bson").exists()
    assert load_(tmp_path / "own.bson", "x").all()
