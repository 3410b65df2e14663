"""Bytes at an address: two verbs, and nothing about what the bytes mean.

    open_bytes(path)         the bytes of a file, mapped or read into memory, as a ``Mapped``
    publish(path, buffers)   the file holds the buffers, one after the other, whole and durable, or what it held before

``local`` does it on this machine's disks. ``memory`` is the same two verbs for tests, and can be told to fail.

Below ``local``, from the outside in: ``replace`` writes a temp file and gives it the target's name, ``draft`` is that
temp and what becomes of it when its writer dies, ``folder`` names entries relative to an open folder, ``read`` opens,
and ``system`` is the one place where operating systems differ.
"""
