"""The collector is as it was once the last who held it is done, whatever happened in between."""

import gc
from threading import Barrier, Thread

import pytest

from holdfast.collector import held


def test_nested_and_failing() -> None:
    with held():
        with held():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), held():
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_off_stays_off() -> None:
    gc.disable()
    try:
        with held():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_threads() -> None:
    both = Barrier(2, timeout=10)

    def hold() -> None:
        with held():
            both.wait()
            assert not gc.isenabled()
            both.wait()

    threads = [Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.isenabled()
