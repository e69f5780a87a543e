"""One module per request that crosses rooms: the story of each, told once."""
