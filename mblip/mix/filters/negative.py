"""A wrong caption for an image and where it comes from: what retrieval gives and caption matching takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mblip.data.example import Example


@dataclass(frozen=True)
class Negative:
    """A caption that does not describe the image asked about.

    `provenance` are flat strings for `Example.provenance`; every key begins with "negative.".

    Raises:
        ValueError: the text is empty.
    """

    text: str
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(
                f"A negative came with the text {self.text!r}, expected a caption "
                f"({dict(self.provenance) or 'no provenance'}). Take empty captions out before retrieval."
            )


Negatives = Callable[[Example], Negative | None]  # the negative of an example; None where there is none
