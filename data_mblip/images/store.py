"""Checked images on disk, for the stages that build the mix.

    store = ImageStore("images")
    key = store.put("zip://photo.jpg::photos.zip")     # or a `Refused`, with its reason
    store.get(key)                                     # the bytes to store in a row

An image is read, checked and written once: what became of each place is kept, a refusal too, until the file or archive
it lies in changes. Equal images are stored once. Processes of one machine may share a store; on several machines give
each its own, since SQLite's file cannot be shared over a network.
"""

import dataclasses
import json
import os
from pathlib import Path

from .check import AT_SIZE, ImageSettings, check_place
from .content import ContentFolder, storage_full_named
from .index import ImageIndex
from .places import FetchedBytes, Place, place_version
from .refusal import Refused

SETTINGS_FILE, INDEX_FILE = "settings.json", "index.sqlite"


class ImageStore:
    """A folder of checked images.

    Args:
        settings: what is stored of an image. A store keeps those it was made with.
        fetched: gives the bytes of URLs, such as `FetchedImages(folder).read`.

    Raises:
        ValueError: the folder was made with other settings.
    """

    def __init__(
        self, folder: str | Path, settings: ImageSettings = AT_SIZE, *, fetched: FetchedBytes | None = None
    ) -> None:
        self._folder = Path(folder)
        self._settings = settings
        self._fetched = fetched
        self._content = ContentFolder(self._folder)
        self._content.remove_left_overs()
        self._keep_settings()
        self._index = ImageIndex(self._folder / INDEX_FILE)

    def put(self, place: Place) -> str | Refused:
        """The key of the image at a place, which is checked and stored if it was not before; or why it is refused.

        Raises:
            StorageFullError: there is no room. Nothing stored is lost, and the same call goes on once there is.
        """
        name, version = str(place), place_version(place)
        known = self._known(name, version)
        if known is not None:
            return known
        checked = check_place(place, self._settings, fetched=self._fetched)
        if isinstance(checked, Refused):
            self._index.put(name, {"version": version, "reason": checked.reason, "detail": checked.detail})
            return checked
        self._content.add(checked.bytes)
        self._index.put(name, {"version": version, "key": checked.sha256, "num_bytes": len(checked.bytes)})
        return checked.sha256

    def get(self, key: str) -> bytes:
        """The encoded image of a key.

        Raises:
            RefusedImageError: there is none, or the file was changed.
        """
        return self._content.read(key)

    def close(self) -> None:
        """Close the index; the store may be used again."""
        self._index.close()

    def _known(self, name: str, version: str) -> str | Refused | None:
        record = self._index.get(name)
        if record is None or record["version"] != version:
            return None
        if "reason" in record:
            refused = Refused(record["reason"], str(record["detail"]))  # type: ignore[arg-type]  # written above
            return None if refused.reason == "missing" else refused  # it may have come
        key = str(record["key"])
        return key if self._content.size(key) == record["num_bytes"] else None

    def _keep_settings(self) -> None:
        file = self._folder / SETTINGS_FILE
        ours = json.dumps(dataclasses.asdict(self._settings), indent=2) + "\n"
        if not file.exists():
            with storage_full_named(file):
                unfinished = file.with_name(f".{file.name}.{os.getpid()}")
                unfinished.write_text(ours, encoding="utf-8")
                unfinished.replace(file)
        found = file.read_text(encoding="utf-8")
        if found != ours:
            raise ValueError(
                f"{self._folder} was made with other settings.\nFound: {found}Expected: {ours}"
                "Open it with those, or use another folder."
            )
