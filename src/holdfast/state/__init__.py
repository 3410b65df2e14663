"""Saved state and live objects: fill what is already there, in place, wholly or not at all.

match.py          which name goes to which, and what is in the way (pure tables)
records.py        what a file holds, without building its classes; names -> arrays
restore.py        read all, compare all, then fill; put the old state back when filling fails
targets.py        what can be filled without torch: arrays, random generators, anything with load_state_dict
torch_targets.py  modules, tensors, schedulers and torch's generators (imported when a target is torch's)
optimisers.py     torch's optimisers, parameter by parameter (likewise)
params.py         a model's trainable parameters in order
"""
