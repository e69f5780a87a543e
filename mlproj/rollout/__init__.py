"""Canary and shadow: the plan of the steps, and what served predictions say about the next one."""
