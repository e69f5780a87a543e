"""Served predictions, read back: from hot segments, sealed days, or PostgreSQL."""
