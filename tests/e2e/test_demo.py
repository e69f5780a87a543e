"""The demo as a stranger runs it: three models, of which the third is taken back by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support import REPOSITORY, run_mlproj

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


def test_the_demo_promotes_a_good_model_takes_a_bad_one_back_and_ends_with_a_live_gateway(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    project = tmp_path / "subscription-churn"
    try:
        done = subprocess.run(
            ["sh", str(REPOSITORY / "docs" / "demo" / "run.sh"), str(tmp_path)],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=1200,
            check=False,
        )
        said = done.stdout
        assert done.returncode == 0, said[-4000:] + done.stderr[-4000:]

        # No customer noticed anything, in any of the rollouts.
        customers = re.findall(r"^([\d,]+) requests: (.*)$", said, re.MULTILINE)
        assert len(customers) == 4
        for count, answers in customers:
            assert answers.partition(";")[0] == f"{count} answered 200"

        assert "agree, kappa" in said, "the shadow's agreement is shown"
        second = said[said.index("9. ") : said.index("10. ")]
        assert re.search(r"canary of version 2, by \S+: live", second)
        assert "promoted: every check has evidence that the canary is no worse" in second
        third = said[said.index("10. ") : said.index("11. ")]
        assert re.search(r"canary of version 3, by \S+: rolled back", third)
        assert re.search(r"rolled back: recall .* evidence that the canary is worse", third)

        asked = re.search(r"^  curl (\S+/predict) -d '(.*)'$", said, re.MULTILINE)
        assert asked is not None, "the last page says what to ask the gateway"
        with urllib.request.urlopen(asked[1], data=asked[2].encode(), timeout=30) as answer:
            assert answer.headers["X-Model-Version"] == "2"
        assert f"{Path(sys.executable).parent}/mlproj serve --stop" in said
    finally:
        stopped = run_mlproj("serve", "--stop", cwd=project) if project.exists() else None
    assert stopped is not None
    assert stopped.stdout == "drained and ended\n"
