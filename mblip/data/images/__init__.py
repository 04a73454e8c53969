"""Images of training rows: their forms and locations, and how we read, check and store them.

Rows use locations.py, which reads bytes from files and archives (files.py) and parquet (parquet.py). check.py decides
what is stored of an image. Decoding and refusing are the processor's own: the files image_*.py of `processing_mblip`.
"""

from processing_mblip.image_decoding import MAX_PIXELS, decode
from processing_mblip.image_reading import open_regular
from processing_mblip.image_refusal import Refused, RefusedImageError
from processing_mblip.image_urls import is_public

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
    "is_public",
    "locate_image",
    "open_image",
    "open_regular",
    "store_image",
    "trusted",
]
