"""Images of training rows: their forms and locations, and how we read, check and store them.

Rows use locations.py, which reads bytes from files and archives (files.py) and parquet (parquet.py). check.py decides
what is stored of an image. Decoding and refusing are the processor's own: `processing_mblip`, its files image_*.py.
"""

from processing_mblip.image_decoding import MAX_PIXELS, decode, quiet_pillow
from processing_mblip.image_refusal import Refused, RefusedImageError

from .locations import (
    Image,
    MissingImageError,
    StoredImage,
    TrustedLocation,
    check_trusted,
    locate_image,
    open_image,
    store_image,
    trusted,
)

__all__ = [
    "MAX_PIXELS",
    "Image",
    "MissingImageError",
    "Refused",
    "RefusedImageError",
    "StoredImage",
    "TrustedLocation",
    "check_trusted",
    "decode",
    "locate_image",
    "open_image",
    "quiet_pillow",
    "store_image",
    "trusted",
]
