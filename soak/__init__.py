"""Campaigns: one promise, tried so many times that a test run cannot wait for it.

    scripts/soak                       what there is
    scripts/soak kills --count 20000   try it so often, and say what was seen
    scripts/soak kills --minutes 30    or so long; the first of the two that is reached ends it

campaign.py  what a campaign is: a module with ``run``; the table of all
report.py    the figures, on the terminal and as a line of docs/trust.md
cuts.py      the power fails while a process saves in a loop
damage.py    a good file, damaged in every way that one can count
faults.py    each system call of a save fails
full.py      a disk that is full at every 4 KiB of a save
fuzz.py      bytes through the targets of the folder fuzz
kills.py     a process that saves in a loop is killed at random moments
mutate.py    documents through them
steady.py    one process does everything for long, and does not grow
inject.py    how a system call is made to fail
volume.py    file systems of our own: to be filled, and to be cut off

A campaign is told a seed and prints it: the same seed tries the same things in the same order. To add one, write a module
with ``run`` (and ``VARIANTS``, where it has several) and a line in ``campaign.CAMPAIGNS``.
"""
