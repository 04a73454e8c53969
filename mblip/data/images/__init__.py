"""Images of training rows: their forms and locations, and how we read, check and store them.

Rows use locations.py, which reads bytes from files and archives (files.py) and parquet (parquet.py). decoding.py turns
bytes into an image, or gives the reason why it cannot (refusal.py). completeness.py finds files that are cut off.
check.py decides what is stored of an image.
"""

from .locations import Image, MissingImageError, StoredImage, locate_image, open_image, store_image

__all__ = ["Image", "MissingImageError", "StoredImage", "locate_image", "open_image", "store_image"]
