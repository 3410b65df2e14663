"""Measurements beside the peers: ``python -m bench [ROW …]``. How to read them: README.md.

rows.py       the table: what is saved or loaded, by whom, and what it must show
states.py     the states that are saved
contender.py  what takes part: one way of one library to save and to load
peers.py      the contenders; raw.py the system calls alone, julia.py (with clock.jl) BSON.jl
measure.py    a row of saves or loads: rounds in turn, equality; cache.py a quiet start for each
memory.py     a row of peak memory; imports.py one of import times; stall.py steps held up
child.py      one row in a process of its own
figures.py    ratios, medians, goals
machine.py    what it was measured on
report.py     the table on the terminal and in results.md; plot.py the plots
growth.py     time against size
"""
