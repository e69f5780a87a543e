"""What the model registry says, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version in the registry. `is_new` where this command made it, not an earlier one."""

    name: str
    version: int
    run_id: str
    alias: str
    is_new: bool
