"""Where a checkpoint comes from: versions, command line, commit, seed. What is secret stays out.

Strategy: everything is best effort and none of it may fail or take long. The environment is looked at by a list of
names that are allowed, never as a whole. In the command line, what follows a name like ``--api-key`` is masked, and so
is what looks like a key by itself.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any, Final

PACKAGES: Final = ("holdfast", "torch", "numpy", "ml_dtypes", "jax", "jaxlib", "flax", "equinox", "optax")
"""What has a part in the numbers of a run."""
ENVIRONMENT: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "RANK",
    "SLURM_JOB_ID",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "WORLD_SIZE",
)
"""What of the environment changes results or says which job this was."""

SECRET: Final = frozenset(
    {"apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "key", "pass", "passphrase"}
    | {"passwd", "password", "private", "pwd", "secret", "secrets", "signature", "token", "tokens"}
)
"""Words in an option's name that make its value a secret."""
LOOKS_SECRET: Final = re.compile(
    r"(?:gh[a-z]_|github_pat_|hf_|sk-|xox[a-z]-|glpat-|AKIA|eyJ)[\w.-]{12,}|(?<=://)[^/@\s]+:[^/@\s]+(?=@)"
)
"""Keys of well-known services by their beginning, and a name and password in an address."""
MASK: Final = "***"

TIMEOUT: Final = 2.0
"""Seconds that git may take."""


def provenance() -> dict[str, Any]:
    """What made this checkpoint: ``{"python", "versions", "platform", "argv", "environment", "git", "seed"}``.

    No secrets, no name of the machine or its user; see ``masked``.
    """
    return {
        "python": platform.python_version(),
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "argv": masked(sys.argv),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "git": git(),
        "seed": seed(),
    }


@cache
def versions() -> Mapping[str, str]:
    """The versions of the packages that have a part in the numbers, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def seed() -> int | None:
    """The number that torch's generator was last seeded with."""
    torch = sys.modules.get("torch")
    return int(torch.initial_seed()) if torch is not None else None


@cache
def git() -> Mapping[str, Any] | None:
    """The commit of the folder that the program was started in, and whether files that git knows had changed by then.

    None where there is no repository or no git.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None or not re.fullmatch("[0-9a-f]{40,64}", commit):
        return None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(*words: str) -> str | None:
    # No lock is taken and no monitor of the repository's started: looking must not disturb what goes on there.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


# -- secrets ----------------------------------------------------------------------------------------------------------


def masked(words: Sequence[str]) -> list[str]:
    """A command line without its secrets.

    >>> masked(["train.py", "--api-key", "abc", "--lr=0.1", "login.password=xyz", "--tokenizer", "bert"])
    ['train.py', '--api-key', '***', '--lr=0.1', 'login.password=***', '--tokenizer', 'bert']
    """
    shown: list[str] = []
    hide = False
    for word in words:
        name, equals, value = word.partition("=")
        is_option = word.startswith("-")
        if hide and not is_option:
            shown.append(MASK)
        elif equals and is_secret(name):
            shown.append(f"{name}={MASK if value else ''}")
        else:
            shown.append(LOOKS_SECRET.sub(MASK, word))
        hide = is_option and not equals and is_secret(name)
    return shown


def is_secret(name: str) -> bool:
    """Whether an option of this name has a secret for a value.

    >>> [is_secret(name) for name in ("--hf-token", "apiKey", "WANDB_API_KEY", "--keyboard", "--max-epochs")]
    [True, True, True, False, False]
    """
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return not SECRET.isdisjoint(re.split(r"[^a-z0-9]+", words.lower()))
