"""What a training or an evaluation will cost, from configurations alone."""
