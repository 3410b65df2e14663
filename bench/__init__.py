"""Measurements beside the peers: ``python -m bench [ROW …]``.

states.py  the states that are saved
peers.py   how each library saves and loads
run.py     rounds in turn, medians, equality
report.py  the table of ratios, on the terminal and in results.md
"""
