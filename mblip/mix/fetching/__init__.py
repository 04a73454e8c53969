"""Images fetched from URLs: `fetch_images` (fetch.py), the folder it fills (fetched_images.py), and the command
`python -m mblip.mix.fetching`.

Nothing is imported here, since fetching alone needs aiohttp.
"""
