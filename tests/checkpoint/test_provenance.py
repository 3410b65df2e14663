"""Provenance: what made a checkpoint, and none of its secrets."""

import subprocess
import sys

import pytest
import torch

from holdfast.checkpoint import provenance as module
from holdfast.checkpoint.provenance import git, masked, provenance

COMMANDS = [
    (["a.py", "--lr", "0.1"], ["a.py", "--lr", "0.1"]),
    (["--token", "abc"], ["--token", "***"]),
    (["--token=abc"], ["--token=***"]),
    (["--hf_token", "abc", "data"], ["--hf_token", "***", "data"]),
    (["-password", "abc"], ["-password", "***"]),
    (["--api-key=", "x"], ["--api-key=", "x"]),
    (["--secret", "--lr", "1"], ["--secret", "--lr", "1"]),
    (["wandb.apiKey=abc"], ["wandb.apiKey=***"]),
    (["DB_PASSWORD=abc"], ["DB_PASSWORD=***"]),
    (["--tokenizer", "bert", "--keyboard=de", "--max-epochs", "3"],) * 2,
    (["hf_abcdefghijklmnopqrst"], ["***"]),
    (["--model=sk-abcdefghijklmnopqrst"], ["--model=***"]),
    (["https://me:pw@host/path"], ["https://***@host/path"]),
    (["https://host/path"], ["https://host/path"]),
    ([], []),
]


@pytest.mark.parametrize(("words", "shown"), COMMANDS)
def test_secrets_are_masked(words, shown):
    assert masked(words) == shown


def test_what_is_kept(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", "abc"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-one")
    torch.manual_seed(17)
    found = provenance()
    assert found["argv"] == ["train.py", "--token", "***"]
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["environment"].keys() <= set(module.ENVIRONMENT)
    assert "hidden-one" not in repr(found)
    assert found["seed"] == 17
    assert found["python"] == sys.version.split()[0]
    assert found["versions"]["torch"] == torch.__version__


def test_the_versions_of_what_is_installed(monkeypatch):
    """JAX's numbers come from jaxlib, and a run's from the libraries on top of it."""
    installed = {
        name: f"1.{place}" for place, name in enumerate(("torch", "jax", "jaxlib", "flax", "equinox", "optax"))
    }

    def version(name):
        if name not in installed:
            raise module.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(module.metadata, "version", version)
    module.versions.cache_clear()
    try:
        assert module.versions() == installed
    finally:
        module.versions.cache_clear()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.delenv("GIT_DIR", raising=False)
    git.cache_clear()
    yield tmp_path
    git.cache_clear()


def run(*words):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)


def test_the_commit_and_whether_files_had_changed(repository):
    run("init")
    (repository / "a.py").write_text("1")
    run("add", "a.py")
    run("commit", "-m", "one")
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    (repository / "new.txt").write_text("not known to git")
    assert git() == {"commit": commit, "dirty": False}
    (repository / "a.py").write_text("2")
    assert git()["dirty"] is False, "it counts how the program began"
    git.cache_clear()
    assert git() == {"commit": commit, "dirty": True}


def test_no_repository(repository, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    assert git() is None


@pytest.mark.parametrize("failure", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 2), PermissionError()])
def test_git_may_fail_in_any_way(repository, monkeypatch, failure):
    def failing(*_, **__):
        raise failure

    monkeypatch.setattr(subprocess, "run", failing)
    assert git() is None


def test_a_repository_without_a_commit(repository):
    run("init")
    assert git() is None
