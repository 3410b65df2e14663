"""The public names are those that the documentation lists, and no others."""

import tomllib

import pytest

import holdfast
from holdfast import errors
from reference import ROOT

NAMES = [
    "Position",
    "Series",
    "for_flux",
    "inspect",
    "load",
    "loadparams",
    "now",
    "optimiser_from",
    "params",
    "register",
    "restore",
    "save",
    "tree_from",
    "verify",
]


def test_all_is_what_the_design_lists():
    assert sorted(holdfast.__all__) == sorted([*NAMES, *errors.__all__, "__version__"])
    assert list(holdfast.__all__) == sorted(holdfast.__all__, key=str.lower)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_function_that_says_what_it_does(name):
    value = getattr(holdfast, name)
    assert callable(value)
    assert value.__doc__
    assert value.__module__.startswith("holdfast")


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_are_in_one_tree_and_public(name):
    assert getattr(holdfast, name) is getattr(errors, name)
    assert issubclass(getattr(errors, name), errors.HoldfastError)


def test_nothing_else_stands_in_the_tree():
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


def test_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert holdfast.__version__ == project["version"]


def test_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from holdfast import *", names)
    assert set(holdfast.__all__) <= names.keys()
