"""The licence that a parent's own card states."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.repocard import metadata_load


def read_license(name: str) -> str | None:
    """The licence in the card of a folder or a repository of the Hub, by the Hub's identifier.

    Returns:
        None where there is no card, or none in reach, or it states no licence: a card is no reason for a run to fail.
    """
    path = Path(name) / "README.md"
    if not Path(name).is_dir():
        try:
            path = Path(hf_hub_download(name, "README.md"))
        except (OSError, HFValidationError):  # every error of the Hub and the network is an OSError
            return None
    metadata = (metadata_load(path) if path.is_file() else None) or {}
    stated = metadata.get("license")
    return ", ".join(stated) if isinstance(stated, list) else stated
