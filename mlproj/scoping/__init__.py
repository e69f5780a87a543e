"""The scoping document: what a project promises, who signed it, and where it says so wrongly."""
