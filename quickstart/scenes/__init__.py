"""The drawn world of the quickstart: what a scene is (world.py), its image (drawing.py), what is said about it in
twelve languages (languages/)."""
