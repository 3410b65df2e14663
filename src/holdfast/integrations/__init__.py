"""Holdfast behind the interfaces of other trainers; each module needs the package that it is called after.

lightning/       Lightning: a ``CheckpointIO`` that writes our files, and a callback for what its checkpoints leave out
transformers.py  Transformers: a ``TrainerCallback`` around a ``Series``
accelerate.py    Accelerate: hooks of ``save_state`` and ``load_state``
unwrapped.py     what trainers wrap, as it was before

Each raises MissingError, with the line for pip, when its package is not installed. Nothing here is imported by
``import holdfast``.
"""
