"""What the loopback Hub holds: repositories with commits, branches and tags, and the large files beside them.

Everything is in memory. As on the Hub, a text file is named by the SHA-1 that git gives it, a large file by its
SHA-256; a commit is a complete listing, so a revision can never show half of one.
"""

import hashlib
import json
from dataclasses import dataclass, field

LARGE_SUFFIXES = (".safetensors", ".bin", ".model", ".pt", ".png", ".parquet")
DATASETS, SPACES = "datasets/", "spaces/"  # before the name of a repository of a dataset, or of a Space


@dataclass(frozen=True)
class StoredFile:
    """One file of a commit."""

    data: bytes
    is_large: bool

    @property
    def git_id(self) -> str:
        """What git calls it: the SHA-1 of the file, or of the pointer that stands for a large one."""
        data = self.data
        if self.is_large:
            data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(data)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_id


@dataclass
class Repository:
    """A repository of a model; of a dataset or a Space if its `name` begins with `DATASETS` or `SPACES`.

    Attributes:
        is_private: for its owner and `readers` alone.
        is_gated: its list of files is public, its files are for `readers` alone.
        commits: the files of every commit by its SHA, oldest first.
    """

    name: str
    is_private: bool = False
    is_gated: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.commits:
            self.commit("main", {".gitattributes": StoredFile(b"*.safetensors filter=lfs -text\n", False)}, "initial")

    @property
    def files(self) -> dict[str, StoredFile]:
        """The files of `main`."""
        return self.commits[self.branches["main"]]

    @property
    def head(self) -> str:
        """The last commit of `main`."""
        return self.branches["main"]

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit's SHA means; None where there is none."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return sha if sha in self.commits else None

    def commit(self, branch: str, files: dict[str, StoredFile], message: str) -> str:
        """Put a commit with exactly these files on a branch.

        Returns:
            Its SHA.
        """
        listing = {path: file.git_id for path, file in sorted(files.items())}
        content = json.dumps([self.branches.get(branch), message, listing, len(self.commits)])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        self.messages.append(message)
        return sha


def is_large(path: str, size: int) -> bool:
    """Whether the Hub keeps a file in its large file storage."""
    return path.endswith(LARGE_SUFFIXES) or size > 10_000_000


@dataclass
class HubState:
    """Everything the Hub knows.

    Attributes:
        users: the user of every token.
        moved: old names of repositories, which are redirected.
        objects: large files by SHA-256, committed or not.
        parts: uploaded parts of large files, by SHA-256 and number.
        part_size: large files of more bytes are uploaded in parts of so many; None: in one.
        url: the Hub's address; `storage_url` is that of its large files.
    """

    users: dict[str, str] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    part_size: int | None = None
    url: str = ""
    storage_url: str = ""
