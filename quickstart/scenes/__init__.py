"""The drawn world of the quickstart: scenes (world.py), their images (drawing.py), and captions and questions in
twelve languages (languages/)."""
