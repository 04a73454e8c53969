"""Images of training rows: what forms they come in, where they lie, how they are read, checked and stored.

locations.py is what rows need, and reads bytes from files and archives (files.py) and parquet (parquet.py);
decoding.py turns bytes into an image or a reason why not (refusal.py), and knows a file that is cut off
(completeness.py); check.py says what is stored of it.
"""

from .locations import Image, StoredImage, locate_image, open_image, store_image

__all__ = ["Image", "StoredImage", "locate_image", "open_image", "store_image"]
