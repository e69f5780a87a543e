"""The same over the log that several machines share."""

from __future__ import annotations

from pathlib import Path

from mlproj.monitoring import chains
from mlproj.serving import ids
from mlproj.serving.postgres import Shipper
from tests.serving.log.test_postgres_spool import server, url
from tests.serving.log.world import DAY, record

__all__ = ["server", "url"]  # fixtures, used by name


def test_requests_and_versions_are_found_in_postgres(url: str, tmp_path: Path) -> None:
    first = ids.bounds(DAY)[0] + (3_600_000 << 22)
    near = [record(first + (after * 1000 << 22), request_id="a") for after in (0, 5)]
    far = record(first + (200_000 << 22), request_id="a", version=4)
    shipper = Shipper(url)
    shipper.records([*near, far])
    shipper.close()
    assert chains.of_request(tmp_path, "a", first, postgres=url) == near
    counted = chains.count(tmp_path, patience_s=0.1, postgres=url)
    assert [(each.version, each.count, each.first, each.complete) for each in counted] == [
        (3, 2, near[0].id, True),
        (4, 1, far.id, True),
    ]
