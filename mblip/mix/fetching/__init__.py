"""Images fetched from URLs: `fetch_images` (fetch.py), its folder (fetched_images.py), and the command `mblip fetch`.

This file imports nothing, because only fetching needs aiohttp.
"""
