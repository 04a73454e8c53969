"""The weights for translation: a folder or a name on the Hub, with the revision that provenance records."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

WEIGHT_SUFFIXES = frozenset({".json", ".safetensors", ".bin", ".model"})
OTHER_FORMATS = ["*.msgpack", "*.h5", "*.ot", "*.onnx", "*.gguf"]  # other formats of the same weights
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelFolder:
    """A folder as `save_pretrained` writes it.

    `name` is the name on the Hub. For a local folder it is the folder's last part, because paths differ between
    machines. `revision` is the commit on the Hub, or "sha256:" and a digest of the files.
    """

    path: Path
    name: str
    revision: str


def open_model_folder(model: str | Path, *, revision: str | None = None) -> ModelFolder:
    """The folder of a model. A model on the Hub is downloaded at `revision`: a commit, tag or branch.

    Raises:
        ValueError: a local folder is given with a revision, or the folder holds no config.json.
    """
    path = Path(model)
    if not path.is_dir():
        return _from_hub(str(model), revision)
    if revision is not None:
        raise ValueError(
            f"{path} is a folder, but the revision {revision!r} is given. "
            "A folder's revision is the digest of its files: remove the argument."
        )
    if not (path / "config.json").is_file():
        raise ValueError(f"{path} holds no config.json, expected a folder as `save_pretrained` writes it.")
    return ModelFolder(path, path.resolve().name, f"sha256:{_digest(path)}")


def _from_hub(name: str, revision: str | None) -> ModelFolder:
    path = Path(snapshot_download(name, revision=revision, ignore_patterns=OTHER_FORMATS))
    return ModelFolder(path, name, path.name)  # a snapshot's folder has the commit as its name


def _digest(folder: Path) -> str:
    """The first 16 digits of a digest of the names and contents of all files that affect translations."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in WEIGHT_SUFFIXES and path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
    return digest.hexdigest()[:16]
