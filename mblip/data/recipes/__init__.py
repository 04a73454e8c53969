"""The data side of YAML recipes: reading them strictly, and the sources that they may name."""
