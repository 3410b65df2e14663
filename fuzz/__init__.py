"""Bytes and documents that nobody would write, by the million.

    python -m fuzz                        what there is
    python -m fuzz load --runs 100000     so many executions of one target, and what was seen
    python -m fuzz load --seconds 600     or so long

targets.py   what is tried: a function of bytes that raises what must never leave us
grammar.py   documents made of the vocabulary's own words, and mutated
seeds.py     files to start from
foreign.py   files of other formats, by path, and what they start from
drive.py     coverage-guided (atheris) where that is installed, plain mutation otherwise
flips.py     a good file with every bit flipped, cut at every byte, hit by bursts
corpus/      a folder for each target, with every input that once found something: replayed by tests/test_fuzz.py

A target is quick because it touches no disk and its vocabularies are warm. Anything but a value or an error of Holdfast's
own is an escape: its input is written to the corpus, and the run ends with 1.
"""
