"""One process at a time in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, name: str, doing: str) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process, however that ends.

    Args:
        name: of the file that is locked; it stays.
        doing: what the error says another process is doing: "fetching into".

    Raises:
        OSError: another process holds it.
    """
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                f"Another process is {doing} {folder}. Wait for it, or give this one another folder."
            ) from error
        yield
