"""How many steps the optimisers of this process have begun: whether weights changed since the last step that is done.

Strategy: torch calls one hook of ours before every step of every optimiser; it counts. A hook on the optimiser itself
would be in the way of saving it.
"""

import itertools
import sys
from typing import Any, Final

_COUNT: Final = itertools.count(1)
_LAST: Final = [0]
_WATCHED: Final[list[Any]] = []


def watch_optimisers() -> None:
    """Begin to count, where torch is loaded. A second call does nothing."""
    if "torch" in sys.modules and not _WATCHED:
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        _WATCHED.append(register_optimizer_step_pre_hook(_count))


def _count(optimiser: Any, args: Any, kwargs: Any) -> None:
    _LAST[0] = next(_COUNT)


def steps_begun() -> int:
    """The count; what matters is only whether it has changed."""
    return _LAST[0]
