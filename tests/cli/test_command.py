"""The command as a whole: exit codes, errors in one line, plain output in a pipe."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest

import holdfast
from holdfast import save
from reference import ROOT, VECTORS, corpus_files, julia_files, needs_corpus, needs_julia_files

JULIAS = VECTORS / "julia" / "doc_model_flux_0.12.1.bson"
EVERY = [("ls",), ("show",), ("verify",)]


def test_version(command):
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"holdfast {holdfast.__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("ls", "-h"), ("diff", "--help")])
def test_help(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: holdfast")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frob"], "No such command 'frob'"),
        (["ls"], "Missing argument 'FILE'"),
        (["verify"], "Missing argument 'FILE...'"),
        (["ls", "--what", "x"], "--what"),
        (["diff", "a"], "Missing argument 'B'"),
        (["show", "m.bson", "--depth", "-1"], "--depth"),
        (["ls", "nowhere.bson"], "nowhere.bson: No such file or directory"),
        (["show", "nowhere.bson"], "nowhere.bson: No such file or directory"),
        (["verify", "nowhere.bson"], "nowhere.bson: No such file or directory"),
        (["diff", "nowhere.bson", "elsewhere.bson"], "nowhere.bson: No such file or directory"),
        (
            ["ls", "."],
            "is a folder, not a file with bytes to load; give the path of a file (MessagePack of Flax and the folders",
        ),
        (["ls", "text.bson"], "text.bson"),
        (["show", "m.bson", "model.layers"], "m.bson has no 'model.layers'"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_2(run, file, monkeypatch, arguments, says):
    monkeypatch.chdir(file.parent)
    (file.parent / "text.bson").write_text("this is no model, it is a text that somebody called one")
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("holdfast: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr


@pytest.mark.parametrize("arguments", [*EVERY, ("show", "--values"), ("ls", "--all")])
def test_every_command_runs_as_a_process_and_is_plain_in_a_pipe(command, file, arguments):
    done = command(*arguments, file)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize("arguments", [*EVERY, ("show", "--values")])
def test_a_file_of_julias(command, arguments):
    done = command(*arguments, JULIAS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "model" in done.stdout or arguments == ("verify",)


@pytest.mark.parametrize("arguments", [*EVERY, ("show", "--values"), ("ls", "-a"), ("diff", JULIAS)])
def test_json_is_one_document(run, file, arguments):
    result = run(*arguments, file, "--json")
    assert result.exit_code == (1 if arguments[0] == "diff" else 0)
    assert json.loads(result.stdout)


def test_long_lines_are_not_cut(run, tmp_path):
    name = "layer" * 60
    save(tmp_path / "m.bson", {name: {"weight": np.zeros(3)}, "text": "x" * 500})
    for arguments in (["ls", "-a"], ["show"], ["diff", JULIAS]):
        assert name in run(*arguments, tmp_path / "m.bson").stdout


@pytest.mark.parametrize("arguments", [("ls", "-a"), ("show",), ("show", "--json")])
def test_a_closed_pipe_is_no_error(tmp_path, arguments):
    """``holdfast show big.bson | head -1``: quiet, and quick."""
    path = tmp_path / "big.bson"
    save(path, state={f"p{i}": np.zeros(2) for i in range(3000)})
    line = [sys.executable, "-m", "holdfast", *arguments, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_names_cannot_steer_the_terminal(run, tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J\n\u202egnp"
    for path, values in (("a.bson", {evil: {evil: evil}}), ("b.bson", {evil: {evil: 1, "b" + evil: 2}})):
        save(tmp_path / path, values)
    for arguments in (["ls"], ["ls", "-a"], ["show"], ["verify"], ["diff", tmp_path / "b.bson"]):
        output = run(*arguments, tmp_path / "a.bson").output
        assert not {"\x1b", "\x07", "\u202e"} & set(output)
    assert len(run("ls", tmp_path / "a.bson").stdout.splitlines()) == 2


def test_a_narrow_encoding_still_gets_output(command, tmp_path):
    save(tmp_path / "m.bson", {"größe→": 1})
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "ascii"}
    line = [sys.executable, "-m", "holdfast", "ls", str(tmp_path / "m.bson")]
    done = subprocess.run(line, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert rb"gr\xf6\xdfe\u2192" in done.stdout


def on_a_terminal(*line: str) -> str:
    """What a Python process writes to a pseudo-terminal, as a person has one."""
    main_end, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", "COLUMNS": "60"}
    environment.pop("NO_COLOR", None)
    output = b""
    with subprocess.Popen(
        [sys.executable, *line], stdout=terminal, stderr=terminal, stdin=terminal, env=environment
    ) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while part := os.read(main_end, 65536):
                output += part
        assert process.wait(60) == 0
    os.close(main_end)
    return output.decode()


def test_on_a_terminal_there_is_colour(file):
    output = on_a_terminal("-m", "holdfast", "show", str(file))
    assert "\x1b[1mweight\x1b[0m" in output
    assert "├─" in output
    table = on_a_terminal("-m", "holdfast", "ls", str(file))
    assert "\x1b[1mmodel" in table


BAR = """
from holdfast.cli import screen
screen.PATIENCE = {patience}
with screen.progress("look \x1b[1m ing", 10) as advance:
    advance(5)
    advance(5)
"""


def test_a_bar_shows_on_a_terminal_when_it_takes_long():
    output = on_a_terminal("-c", BAR.format(patience=-1))
    assert "look \\x1b[1m ing" in output
    assert "━━━" in output
    assert on_a_terminal("-c", BAR.format(patience=60)) == ""


def test_no_bar_shows_in_a_pipe():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", BAR.format(patience=-1)], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_imports_no_framework(file):
    code = f"""
import sys
from click.testing import CliRunner
from holdfast.cli import main
for arguments in (["ls"], ["show", "--values"], ["verify"], ["diff", {str(file)!r}]):
    assert CliRunner().invoke(main, [*arguments, {str(file)!r}]).exit_code == 0, arguments
assert not {{"torch", "jax", "holdfast.flux"}} & set(sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@needs_julia_files
@pytest.mark.parametrize("folder", ["generic", "flux-0.8.3", "flux-0.12.1", "flux-0.16.9"])
def test_every_file_of_julias_can_be_looked_at_and_is_the_same_as_itself(run, folder):
    for path in julia_files(folder):
        assert run("ls", "--all", path).exit_code == 0, path
        assert run("show", "--values", path).exit_code == 0, path
        assert run("diff", path, path).output == "", path


@needs_corpus
@pytest.mark.parametrize("entry", corpus_files(), ids=lambda entry: entry["file"])
def test_every_public_model_can_be_looked_at(run, entry):
    assert run("show", "--values", entry["at"]).exit_code == 0
    assert run("diff", entry["at"], entry["at"]).output == ""
