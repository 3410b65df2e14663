"""Bytes at an address: two verbs, and nothing about what the bytes mean.

    open_bytes(path)         the bytes of a file, mapped or read into memory, as a ``Mapped``
    publish(path, buffers)   the file holds the buffers, one after the other, whole and durable, or what it held before;
                             a ``Watched`` buffer is shown to its watcher on the way

``local`` does it on this machine's disks. ``memory`` is the same two verbs for tests, and can be told to fail.

Below ``local``, from the outside in: ``replace`` writes a temp file and gives it the target's name, ``draft`` is that
temp and what becomes of it when its writer dies, ``way`` decides how each buffer is written and ``write`` does it,
``share`` gives work to threads, ``folder`` names entries relative to an open folder, ``read`` opens, and ``system`` is the
one place where operating systems differ.
"""
