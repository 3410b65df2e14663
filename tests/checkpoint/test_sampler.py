"""Resumable loaders: the rest of an epoch, and the ones after it, are what they would have been."""

import gc
import random
import weakref
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from holdfast.checkpoint import random as states
from holdfast.checkpoint.sampler import ResumableLoader, resumable
from holdfast.errors import MismatchError, UnsupportedError

SIZE = 23


class Noisy(Dataset):
    """Each item is its number and what three generators drew for it: augmentation, as far as exactness goes."""

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


class Stream(IterableDataset):
    """Shuffles as it goes, with the global generator."""

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        start, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in range(start, 20, step):
            yield torch.tensor([number, random.random(), torch.rand(()).item()], dtype=torch.float64)


class Counting(Sampler):
    """A user's sampler: counts its own epochs, draws from the global generator and from one of its own."""

    def __init__(self):
        self.epoch = 0
        self.rng = np.random.default_rng(5)

    def __iter__(self):
        self.epoch += 1
        for number in range(10):
            yield (number + self.epoch + random.randrange(SIZE) + int(self.rng.integers(SIZE))) % SIZE

    def __len__(self):
        return 10


class Buckets(Sampler):
    """A user's batch sampler around one of torch's."""

    def __init__(self):
        self.sampler = RandomSampler(range(SIZE), generator=torch.Generator().manual_seed(3))

    def __iter__(self):
        indices = list(self.sampler)
        random.shuffle(indices)
        yield from ([*indices[start : start + 3]] for start in range(0, SIZE, 3))

    def __len__(self):
        return 8


def worker_seeded(worker):
    np.random.seed(worker)


LOADERS = {
    "in order": lambda: DataLoader(Noisy(), batch_size=4),
    "shuffled": lambda: DataLoader(Noisy(), batch_size=4, shuffle=True),
    "own generator": lambda: DataLoader(Noisy(), 4, shuffle=True, generator=torch.Generator().manual_seed(9)),
    "drop last": lambda: DataLoader(Noisy(), batch_size=4, shuffle=True, drop_last=True),
    "no batches": lambda: DataLoader(Noisy(), batch_size=None, shuffle=True),
    "replacement": lambda: DataLoader(Noisy(), 4, sampler=RandomSampler(range(SIZE), replacement=True, num_samples=50)),
    "subset": lambda: DataLoader(Noisy(), 4, sampler=SubsetRandomSampler(range(3, 20))),
    "weighted": lambda: DataLoader(Noisy(), 4, sampler=WeightedRandomSampler(torch.arange(1.0, 24), 30)),
    "batch sampler": lambda: DataLoader(Noisy(), batch_sampler=BatchSampler(RandomSampler(range(SIZE)), 5, False)),
    "distributed": lambda: DataLoader(Noisy(), 3, sampler=DistributedSampler(range(SIZE), 2, 1, seed=4)),
    "a user's": lambda: DataLoader(Noisy(), 3, sampler=Counting()),
    "a user's batches": lambda: DataLoader(Noisy(), batch_sampler=Buckets()),
    "a stream": lambda: DataLoader(Stream(), batch_size=3),
}
WORKERS = {
    "2 workers": lambda: DataLoader(Noisy(), batch_size=4, shuffle=True, num_workers=2),
    "2 that stay": lambda: DataLoader(
        Noisy(),
        4,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        prefetch_factor=3,
        worker_init_fn=worker_seeded,
    ),
    "a user's": lambda: DataLoader(Noisy(), 3, sampler=Counting(), num_workers=1),
    "a stream": lambda: DataLoader(Stream(), batch_size=3, num_workers=2),
}


def begin(seed=0):
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


def epochs(loader, number):
    """All batches of some epochs as lists, the epochs one after the other."""
    return [batch.tolist() for _ in range(number) for batch in loader]


def resumed(make, step, length):
    """The batches from ``step`` on, read by a fresh loader in a program that has drawn other numbers before."""
    begin()
    loader = resumable(make())
    passed = 0
    while passed < step:
        for _ in islice(loader, step - passed):
            passed += 1
    state, generators = loader.state_dict(), states.capture()
    begin(99)
    fresh = resumable(make())
    fresh.load_state_dict(state)
    states.put_back(generators)
    batches = []
    while len(batches) < length - step:
        batches += [batch.tolist() for batch in fresh]
    return batches


def straight(make, number):
    begin()
    return epochs(resumable(make()), number)


@pytest.mark.parametrize("name", LOADERS)
def test_it_goes_on_with_the_very_next_batch(name):
    make = LOADERS[name]
    whole = straight(make, 3)
    length = len(whole) // 3
    assert name == "in order" or whole[:length] != whole[length : 2 * length]
    for step in {0, 1, length // 2, length - 1, length, length + 1, 2 * length + 2}:
        assert resumed(make, step, len(whole)) == whole[step:], f"resumed after batch {step} of {length} an epoch"


@pytest.mark.parametrize("name", WORKERS)
def test_it_does_with_workers_that_read_ahead(name):
    make = WORKERS[name]
    whole = straight(make, 2)
    length = len(whole) // 2
    for step in (length // 2, length + 1):
        assert resumed(make, step, len(whole)) == whole[step:], f"resumed after batch {step} of {length} an epoch"


def test_the_number_of_workers_is_free():
    """The order and, in workers, what is drawn for a batch follow from the seed, the epoch and the batch."""
    make = lambda workers: resumable(DataLoader(Noisy(), 4, shuffle=True, num_workers=workers), seed=5)  # noqa: E731
    one, two = (epochs(make(workers), 1) for workers in (1, 2))
    assert one == two
    assert [[row[0] for row in batch] for batch in epochs(make(0), 1)] == [[row[0] for row in batch] for batch in one]


@pytest.mark.parametrize("name", ["shuffled", "a user's", "a user's batches"])
def test_the_order_takes_nothing_from_the_global_generators(name):
    plain = [number.tolist() for number in (torch.rand(3), torch.rand(3))]
    assert plain[0] != plain[1]
    loader = ResumableLoader(LOADERS[name](), seed=1)
    order = list(loader._place.order.of(1, 0))
    before = states.capture()
    expected = torch.rand(3).tolist(), random.random(), np.random.rand()
    states.put_back(before)
    list(ResumableLoader(LOADERS[name](), seed=1)._place.order.of(1, 0))
    assert (torch.rand(3).tolist(), random.random(), np.random.rand()) == expected
    torch.rand(5)
    fresh = ResumableLoader(LOADERS[name](), seed=1)
    assert list(fresh._place.order.of(1, 0)) == order


@pytest.mark.parametrize("item", ["seed", "epoch", "batches", "sampler"])
def test_dropping_any_item_of_the_state_is_seen(item):
    """The mutation proof: every item is needed."""
    make = LOADERS["a user's"]
    begin()
    loader = resumable(make())
    for _ in [*loader, *islice(loader, 2)]:
        pass
    state, generators = loader.state_dict(), states.capture()
    expected = [batch.tolist() for batch in loader]
    begin(99)
    fresh = resumable(make())
    fresh.load_state_dict({**state, item: fresh.state_dict()[item]})
    states.put_back(generators)
    assert [batch.tolist() for batch in fresh] != expected


def test_the_epoch_counts_in_the_order():
    loader = resumable(LOADERS["shuffled"](), seed=1)
    first, second = epochs(loader, 1), epochs(loader, 1)
    numbers = lambda batches: [row[0] for batch in batches for row in batch]  # noqa: E731
    assert numbers(first) != numbers(second)
    assert sorted(numbers(first)) == sorted(numbers(second)) == list(range(SIZE))
    assert loader.epoch == 2


def test_place_and_length():
    loader = resumable(LOADERS["shuffled"]())
    assert (len(loader), loader.epoch, loader.batches) == (6, 0, 0)
    for number, _ in enumerate(loader, 1):
        assert (loader.epoch, loader.batches) == (0, number)
    assert (loader.epoch, loader.batches) == (1, 0)
    assert loader.batch_size == 4
    assert isinstance(loader.dataset, Noisy)
    with pytest.raises(AttributeError):
        _ = loader.nothing


def test_a_loop_that_was_left_begins_the_next_epoch():
    loader = resumable(LOADERS["shuffled"](), seed=1)
    for _ in islice(loader, 2):
        pass
    assert (loader.epoch, loader.batches) == (0, 2)
    next(iter(loader))
    assert (loader.epoch, loader.batches) == (1, 1)
    loader.next_epoch()
    assert (loader.epoch, loader.batches) == (2, 0)


def test_batches_without_end():
    begin()
    whole = straight(LOADERS["shuffled"], 2)
    begin()
    loader = resumable(LOADERS["shuffled"]())
    found = [loader.next_batch().tolist() for _ in range(8)]
    state, generators = loader.state_dict(), states.capture()
    rest = [loader.next_batch().tolist() for _ in range(4)]
    assert found + rest == whole
    loader.load_state_dict(state)
    states.put_back(generators)
    assert [loader.next_batch().tolist() for _ in range(4)] == rest


def test_batches_without_end_after_a_loop_that_was_left():
    loader = resumable(LOADERS["shuffled"](), seed=1)
    for _ in islice(loader, 2):
        pass
    places = [(loader.next_batch() is not None, loader.epoch, loader.batches) for _ in range(7)]
    assert places == [(True, 1, number) for number in range(1, 7)] + [(True, 2, 1)]


def test_an_empty_loader_has_no_next_batch():
    with pytest.raises(UnsupportedError, match="no batch"):
        resumable(DataLoader([], batch_size=2)).next_batch()


def test_a_loop_that_began_later_counts():
    loader = resumable(LOADERS["in order"]())
    outer = iter(loader)
    next(outer)
    inner = iter(loader)
    next(inner), next(inner)
    next(outer)
    assert (loader.epoch, loader.batches) == (1, 2)


def test_other_data_in_the_middle_of_an_epoch_is_refused():
    loader = resumable(LOADERS["shuffled"]())
    next(iter(loader))
    other = resumable(DataLoader(Noisy(), batch_size=5, shuffle=True))
    with pytest.raises(MismatchError, match="middle of an epoch of 6 batches, and this loader has 5"):
        other.load_state_dict(loader.state_dict())
    loader.next_epoch()
    other.load_state_dict(loader.state_dict())
    assert other.epoch == 1


def test_set_epoch_of_a_distributed_sampler_still_counts():
    loader = resumable(LOADERS["distributed"]())
    first = epochs(loader, 1)
    loader.sampler.set_epoch(1)
    second = epochs(loader, 1)
    assert [b[0][0] for b in first] != [b[0][0] for b in second]
    state = loader.state_dict()
    fresh = resumable(LOADERS["distributed"]())
    fresh.load_state_dict(state)
    assert fresh.sampler.epoch == 1


class WithState:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_a_loader_with_state_is_taken_as_it_is():
    loader = WithState()
    assert resumable(loader) is loader


class OwnWay(DataLoader):
    def __iter__(self):
        return iter([1])


@pytest.mark.parametrize(
    ("loader", "message"),
    [([1, 2], "a list is no torch.utils.data.DataLoader"), (OwnWay([1]), "in a way of its own")],
)
def test_what_cannot_be_resumed_is_refused(loader, message):
    with pytest.raises(UnsupportedError, match=message):
        resumable(loader)


def test_it_goes_with_its_last_reference():
    """A loader in a cycle would be found by the collector, perhaps in a forked worker, and end workers not its own."""
    gc.disable()
    try:
        loader = resumable(LOADERS["shuffled"]())
        next(iter(loader)), loader.next_batch()
        gone = weakref.ref(loader._inside)
        del loader
        assert gone() is None
    finally:
        gc.enable()


def test_a_plain_sequential_sampler_needs_no_numbers():
    loader = ResumableLoader(DataLoader(Noisy(), sampler=SequentialSampler(range(3))), seed=0)
    assert list(loader._place.order.of(0, 0)) == [[0], [1], [2]]
