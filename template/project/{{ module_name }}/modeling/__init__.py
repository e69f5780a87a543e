"""From splits to a model and its score."""
