"""Runs ``holdfast ARGS`` and prints by how many bytes its own memory grew at most; what is mapped from files, which the
system takes back when it needs the room, does not count. Linux only."""

import sys
import threading
import time


def anonymous() -> int:
    """Bytes of this process that stand on no file."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def main() -> None:
    import torch  # noqa: F401 - its own memory is none of the conversion's

    from holdfast import load  # noqa: F401
    from holdfast.cli import main as command

    before, most, over = anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, anonymous() - before)
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        command(sys.argv[1:])
    except SystemExit as end:
        code = end.code
    over.set()
    watcher.join()
    print(most)
    sys.exit(code)


if __name__ == "__main__":
    main()
