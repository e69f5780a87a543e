"""The worker is one file, which a version's own environment runs without mlproj."""

from __future__ import annotations

import sys

from tests.serving.worker.conversation import WORKER


def test_the_worker_is_one_file_on_the_standard_library() -> None:
    text = WORKER.read_text(encoding="utf-8")
    imported = {
        line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert imported <= sys.stdlib_module_names | {"__future__"}
    assert "msgspec" not in imported
