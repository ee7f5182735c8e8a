"""Words that depend on a number."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what it counts: ``1 item``, ``1,200 items``; see `fitting`."""
    return f"{number:,} {fitting(number, one, many)}"


def fitting(number: int, one: str, many: str = "") -> str:
    """``one`` for the number 1, else ``many``, by default ``one`` with an s."""
    return one if number == 1 else many or f"{one}s"
