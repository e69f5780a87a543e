"""What a stage's own Python runs first, so that it is known which files the stage opened."""
