"""Which state of this code a run was made with."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def code_commit() -> str | None:
    """The commit of the checkout that this file belongs to, with a note where something in it is not committed.

    Returns:
        None where this file is not under git's care: an installed package may lie inside a checkout of something else.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).relative_to(ROOT).as_posix()) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    is_changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return f"{commit} with changes that are not committed" if commit and is_changed else commit


def _git(*arguments: str) -> str | None:
    """What git says, or None where it is not installed or refuses."""
    try:
        result = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
