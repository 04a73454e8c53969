"""What YAML recipes say of data: reading them strictly, and the sources that they may name."""
