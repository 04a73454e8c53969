"""The folder that `fetch_images` fills: what became of each URL, and the images as they were fetched."""

from pathlib import Path

from mblip.data.images.refusal import RefusedImageError

from .content import ContentFolder
from .index import Record, UrlIndex

INDEX_FILE = "fetched.sqlite"


class FetchedImages:
    """Reads fetched images by URL; `FetchedImages(folder).read` is what `open_bytes` takes for URLs."""

    def __init__(self, folder: str | Path) -> None:
        self.content = ContentFolder(Path(folder))
        self.index = UrlIndex(Path(folder) / INDEX_FILE)

    def read(self, url: str) -> bytes:
        """The image of a URL.

        Raises:
            RefusedImageError: it was not fetched, or could not be; the message says why.
        """
        record = self.index.get(url.strip())
        if record is None:
            raise RefusedImageError("missing", "it is not fetched yet: python -m mblip.mix.fetching --help")
        if "cause" in record:
            raise RefusedImageError("missing", f"fetching failed: {describe(record)}")
        return self.content.read(str(record["key"]))

    def is_there(self, record: Record) -> bool:
        """Whether the image of a record lies in the folder whole."""
        return "key" in record and self.content.size(str(record["key"])) == record["num_bytes"]


def describe(record: Record) -> str:
    """The cause of a failure in words."""
    return f"{record['cause']} ({record['detail']})" if record["detail"] else str(record["cause"])
