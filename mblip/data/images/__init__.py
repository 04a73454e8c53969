"""Images of training rows: what forms they come in, where they lie, how they are read, checked and stored.

places.py is what rows need, and reads bytes from files and archives (files.py) and parquet (parquet.py); decoding.py
turns bytes into a picture or a reason why not (refusal.py), and knows a file that is cut off (completeness.py);
check.py says what is stored of it.
"""

from .places import Image, StoredImage, open_image, place_image, store_image

__all__ = ["Image", "StoredImage", "open_image", "place_image", "store_image"]
