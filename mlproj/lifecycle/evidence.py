"""What is known about a repository, gathered once and judged many times. Facts only, no opinions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlproj.catalog.datasheet import Datasheet
from mlproj.pipeline.stages import StageStatus
from mlproj.pipeline.tracked import DataFile
from mlproj.provenance.completeness import Completeness
from mlproj.provenance.manifest import Manifest
from mlproj.scoping.document import Document


@dataclass(frozen=True, kw_only=True)
class Live:
    """What is on live traffic: the version that answers, since when, and the newcomer beside it.

    `answered` and `failed` count requests since the gateway started; `told` has, by business metric, the mean
    of what feedback said and of how many. `unknown` says why that could not be read, and `hint` what to do.
    """

    primary: int | None = None
    since: str = ""
    newcomer: int | None = None
    newcomer_mode: str = ""
    answered: int = 0
    failed: int = 0
    told: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    unknown: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The facts that gates are judged by. A report that a stage has not written yet is None.

    `reports` holds the JSON files of `reports/` by stem, as their stages wrote them; `large_files` the files
    in git above the limit, with their sizes in bytes. `package` is the package's own description, `load` the
    measurements of a load on that very package, `card_run` the run whose evidence the model card holds.
    `regressions` are entries like those of the evaluation's targets, for promises on what got worse.
    """

    document: Document
    document_path: str
    stages: tuple[StageStatus, ...] = ()
    has_pipeline: bool = True
    raw_data: tuple[DataFile, ...] = ()
    raw_folder: str = "data/raw"
    datasheet: Datasheet = field(default_factory=lambda: Datasheet(exists=False))
    datasheet_path: str = "docs/data.md"
    reports: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    large_files: tuple[tuple[str, int], ...] = ()
    manifest: Manifest | None = None
    evaluation_run: Mapping[str, Any] | None = None
    regressions: tuple[Mapping[str, Any], ...] = ()
    snapshot_held: bool = False
    completeness: Completeness | None = None
    lock_sha256: str | None = None
    package: Mapping[str, Any] | None = None
    load: Mapping[str, Any] | None = None
    card_run: str | None = None
    card_path: str = "docs/model_card.md"
    live: Live | None = None

    def report(self, name: str) -> Mapping[str, Any] | None:
        return self.reports.get(name)

    @property
    def must_be_pulled(self) -> tuple[str, ...]:
        """Raw data that are recorded, not here, and made by no stage: a fresh clone has none."""
        return tuple(file.path for file in self.raw_data if not file.present and not file.is_made)

    def never_made(self, path: str) -> bool:
        """Whether there are stages and none of them makes the file: then running them will not bring it."""
        return bool(self.stages) and not any(path in status.stage.outs for status in self.stages)

    def is_behind(self, name: str) -> bool:
        """Whether the stage of that name would have to run again; False where there is none."""
        return any(status.stage.name == name and not status.is_fresh for status in self.stages)

    def of_phases(self, *phases: str | None) -> tuple[StageStatus, ...]:
        return tuple(status for status in self.stages if status.stage.phase in phases)
