"""The time as a text that can stand in a file's name."""

from datetime import datetime, tzinfo

__all__ = ["now"]


def now(zone: tzinfo | None = None) -> str:
    """The time to the millisecond: ``save(f"model-{now()}.bson", model=model)``.

    Local time, as Julia's ``now()``, or that of ``zone``: ``now(datetime.UTC)`` never goes back when summer ends. The
    colons of Julia's text are hyphens here, because file names on Windows cannot hold colons. Texts of one zone sort by
    time.

    >>> len(now()), now()[10], now() <= now()
    (23, 'T', True)
    """
    return datetime.now(zone).replace(tzinfo=None).isoformat(timespec="milliseconds").replace(":", "-")
