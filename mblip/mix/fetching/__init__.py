"""Images fetched from URLs: `fetch_images` (fetch.py), the folder it fills (fetched_images.py), and the command
`mblip fetch`.

Nothing is imported here, since fetching alone needs aiohttp.
"""
