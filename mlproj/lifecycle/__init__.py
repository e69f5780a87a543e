"""Phases, gates and milestones: evidence in, verdict out. Pure; nothing here opens a file."""
