"""Opening files that may be anything: only regular ones are read, and none is waited for."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from .refusal import RefusedImageError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """A file open for reading, unbuffered.

    Raises:
        RefusedImageError: there is none, it may not be read, or it is a folder, a pipe or a device. Opening a pipe in
            the usual way would wait for somebody to write into it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedImageError("missing", f"there is no file {path}") from error
    except OSError as error:  # no permission, a loop of links, a name too long, a socket
        raise RefusedImageError("unreadable", f"{path}: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the name
        raise RefusedImageError("missing", f"no file can have the name {str(path)!r}") from error
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise RefusedImageError("unreadable", f"{path} is {KINDS.get(kind, 'no file')}, expected a file")
    return os.fdopen(descriptor, "rb", buffering=0)
