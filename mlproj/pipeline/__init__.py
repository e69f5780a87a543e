"""The DVC pipeline: which stages there are, which are fresh, and running them."""
