"""The background writer: one job at a time, the newest wins, nothing is lost, nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from holdfast.checkpoint.writer import Writer
from holdfast.errors import HoldfastError


class Gate:
    """A job that is being done until it is let go."""

    def __init__(self):
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.open.wait(10)


def no_thread():
    return not any(thread.name.startswith("holdfast") for thread in threading.enumerate())


def wait_for(question):
    end = time.monotonic() + 5
    while not question():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_jobs_are_done_in_order():
    done, writer = [], Writer()
    for number in range(20):
        writer.submit(lambda number=number: done.append(number), f"step {number}")
        assert writer.wait()
    writer.close()
    assert done == list(range(20))
    wait_for(no_thread)


def test_the_newest_waits_and_the_one_before_is_dropped():
    done, writer, gate = [], Writer(), Gate()
    assert writer.submit(gate, "first") is None
    gate.begun.wait(5)
    assert writer.submit(lambda: done.append(2), "second", dropped=lambda: done.append("second dropped")) is None
    assert writer.submit(lambda: done.append(3), "third") == "second"
    assert done == ["second dropped"]
    assert not writer.is_idle
    assert not writer.wait(0.01)
    gate.open.set()
    writer.close()
    assert done == ["second dropped", 3]


def test_what_waits_can_be_withdrawn():
    done, writer, gate = [], Writer(), Gate()
    writer.submit(gate, "first")
    gate.begun.wait(5)
    assert writer.withdraw() is None
    writer.submit(lambda: done.append(2), "second", dropped=lambda: done.append("dropped"))
    assert writer.withdraw() == "second"
    gate.open.set()
    writer.close()
    assert done == ["dropped"]


def fail(error):
    raise error


def test_an_error_is_raised_once_with_what_was_written():
    writer = Writer()
    writer.submit(lambda: fail(OSError(28, "no space")), "step 7")
    writer.wait()
    with pytest.raises(OSError, match="no space") as caught:
        writer.raise_error()
    assert caught.value.__notes__ == ["while step 7 was written in the background"]
    writer.raise_error()
    writer.close()


def test_the_writer_goes_on_after_an_error_and_no_error_is_lost():
    done, writer = [], Writer()
    writer.submit(lambda: fail(ValueError("one")), "step 1")
    writer.wait()
    writer.submit(lambda: fail(KeyError("two")), "step 2")
    writer.wait()
    writer.submit(lambda: done.append(3), "step 3")
    with pytest.raises(ValueError, match="one") as caught:
        writer.close()
    assert done == [3]
    assert any("KeyError" in note and "step 2" in note for note in caught.value.__notes__)
    writer.close()


def test_even_an_exit_in_a_job_is_kept():
    writer = Writer()
    writer.submit(lambda: sys.exit(3), "step 1")
    with pytest.raises(SystemExit):
        writer.close()
    assert writer.is_idle


def test_a_closed_writer_takes_no_more():
    writer = Writer()
    writer.close()
    with pytest.raises(HoldfastError, match="step 1 cannot be written: this writer is closed"):
        writer.submit(lambda: None, "step 1")


def test_no_thread_can_be_started(monkeypatch):
    done, writer = [], Writer()
    monkeypatch.setattr(threading.Thread, "start", lambda self: fail(RuntimeError("can't start new thread")))
    writer.submit(lambda: done.append(threading.current_thread()), "step 1")
    assert done == [threading.main_thread()]
    writer.close()


def test_an_interrupt_while_the_thread_starts(monkeypatch):
    """Ctrl-C in ``submit``: the job is not done, and the writer works as ever, whether the thread came up or not."""
    done, writer, start = [], Writer(), threading.Thread.start
    for came_up in (False, True):

        def interrupted(self, came_up=came_up):
            with writer._condition:
                if came_up:
                    start(self)
                raise KeyboardInterrupt

        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.submit(lambda: done.append("interrupted"), "step 1")
        monkeypatch.setattr(threading.Thread, "start", start)
        assert writer.wait(5)
        writer.submit(lambda: done.append("after"), "step 2")
        assert writer.wait(5)
    assert done == ["after", "after"]
    wait_for(no_thread)


def test_an_interrupt_while_waiting():
    writer, gate = Writer(), Gate()
    writer.submit(gate, "step 1")
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    timer.join()
    gate.open.set()
    writer.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_no_part_in_it():
    writer, gate = Writer(), Gate()
    writer.submit(gate, "step 1")
    gate.begun.wait(5)
    writer._condition.acquire()  # as the writer may hold it at that very moment
    child = os.fork()
    if child == 0:
        code = 0
        try:
            assert writer.wait()
            writer.raise_error()
            writer.close()
            assert writer.withdraw() is None
            try:
                writer.submit(lambda: None, "step 2")
                code = 1
            except HoldfastError:
                pass
        except BaseException:
            code = 2
        os._exit(code)
    writer._condition.release()
    end = time.monotonic() + 10
    status = (0, 0)
    while status[0] == 0 and time.monotonic() < end:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, signal.SIGKILL)
    gate.open.set()
    writer.close()
    assert status == (child, 0)


def run(code, timeout=30):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_the_program_ends_when_the_last_write_is_done():
    """No close, no hang, and both what is being written and what waits get done."""
    done = run(
        """
        import threading, time
        from holdfast.checkpoint.writer import Writer
        writer, begun = Writer(), threading.Event()
        def write(what):
            begun.set()
            time.sleep(0.2)
            print(what, flush=True)
        writer.submit(lambda: write("first"), "first")
        begun.wait()
        writer.submit(lambda: write("second"), "second")
        idle = Writer()
        print("end", flush=True)
        """
    )
    assert (done.stdout.split(), done.returncode) == (["end", "first", "second"], 0)


def test_an_error_that_nobody_asked_for_is_printed_at_the_end():
    done = run(
        """
        from holdfast.checkpoint.writer import Writer
        writer = Writer()
        writer.submit(lambda: 1 / 0, "step 7")
        """
    )
    assert "ZeroDivisionError" in done.stderr
    assert "while step 7 was written in the background" in done.stderr


def test_many_threads_come_and_go():
    done, writer = [], Writer()
    for number in range(300):
        writer.submit(lambda number=number: done.append(number), f"step {number}")
    writer.close()
    assert done[-1] == 299
    assert done == sorted(done)
    wait_for(no_thread)
