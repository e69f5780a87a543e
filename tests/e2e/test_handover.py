"""`mlproj handover` of a trained repository: what is missing, until nothing is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Tool
from tests.support import REPOSITORY, Run

pytestmark = pytest.mark.slow


def answer(path: Path) -> None:
    """Fill in what a document leaves open."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^(- .*:\**)$", r"\1 as we agreed", text)
    text = re.sub(r"<!-- (?!evidence).*?-->", "A penguin.", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^(\| .* \| [\d,]+ \| )( \| \|)$", r"\1as it looks\2", text)
    path.write_text(text, encoding="utf-8")


def test_it_lists_what_is_missing_until_nothing_is(
    project: Path, mlproj: Run, tool: Tool, tmp_path: Path
) -> None:
    (project / "penguins" / "weather.py").write_text(
        'import os\n\nTOKEN = os.environ["WEATHER_TOKEN"]\nos.environ["QUIET"] = "1"\n', encoding="utf-8"
    )
    with (project / "docs" / "data.md").open("a", encoding="utf-8") as page:
        page.write("\nSee [the manual](manual.md).\n")
    # Training has pushed the data; somebody starts with another storage in their home.
    own = Path.home() / "store"
    own.mkdir()
    assert tool(project, "dvc", "remote", "modify", "storage", "url", own).returncode == 0
    done = mlproj("handover", cwd=project)
    assert done.returncode == 3, done.stderr
    assert "✗ penguins/weather.py:3: `WEATHER_TOKEN` is read from the environment" in done.stdout
    assert "QUIET" not in done.stdout
    assert re.search(r"✗ docs/data\.md:\d+: the link to `manual\.md` leads nowhere", done.stdout)
    assert "was registered as version 1, and no decision says why" in done.stdout
    assert "the repository is on this machine only" in done.stdout
    assert "✗ .dvc/config:6: the remote `storage` is a folder in a home on this machine" in done.stdout
    assert "`data/raw/penguins_raw.csv` is in the cache of this machine only" in done.stdout
    assert "the work tree has changes that are in no commit" in done.stdout
    assert "docs/model_card.md" in done.stdout

    said = json.loads(mlproj("handover", "--json", cwd=project).stdout)
    page_ = (REPOSITORY / "docs/reference/json.md").read_text(encoding="utf-8")
    described = page_.partition("`mlproj handover --json`")[2]
    assert [key for key in said if f"`{key}" not in described] == []
    assert [key for key in said["gaps"][0] if f"gaps[].{key}`" not in described] == []
    assert {gap["topic"] for gap in said["gaps"]} <= set(re.findall(r"`([a-z ]+)`", described))

    data = project / "docs" / "data.md"
    data.write_text(data.read_text(encoding="utf-8").replace("(manual.md)", "(labeling.md)"))
    for name in ("labeling.md", "model_card.md"):
        answer(project / "docs" / name)
    readme = project / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace("A machine learning project", "Penguins"))
    with (project / ".env.example").open("a", encoding="utf-8") as stream:
        stream.write("# WEATHER_TOKEN=  # the weather desk gives it out\n")
    assert mlproj("decide", "Why version 1", "--why", "it is better", cwd=project).returncode == 0
    store = ("dvc", "remote", "modify", "storage", "url", str(tmp_path / "store"))
    for words in (store, ("dvc", "push")):
        assert tool(project, *words).returncode == 0
    remote = tmp_path / "remote.git"
    for line in (["init", "-q", "--bare", str(remote)], ["remote", "add", "origin", str(remote)]):
        subprocess.run(["git", *line], cwd=project, check=True, capture_output=True)
    # As `mlproj doctor` says: it lets a plain push bring the snapshots along.
    assert mlproj("stage", "scoping", cwd=project).returncode == 0
    for line in (
        ["add", "-A"],
        ["commit", "-qm", "All that we know"],
        ["push", "-q", "-u", "origin", "main"],
    ):
        subprocess.run(["git", *line], cwd=project, check=True, capture_output=True)
    # Such a push names its branch, and leaves the snapshots behind.
    gaps = json.loads(mlproj("handover", "--json", cwd=project).stdout)["gaps"]
    assert "run `git push origin`, which names no branch" in [gap["write"] for gap in gaps]
    subprocess.run(["git", "push", "-q", "origin"], cwd=project, check=True)
    found = json.loads(mlproj("handover", "--json", cwd=project).stdout)
    # Only what the deployment phase would still fill in.
    assert [gap["write"] for gap in found["gaps"]] == ["run `mlproj stage deployment`, which fills it"]
    card = project / "docs" / "model_card.md"
    run = json.loads((project / "models" / "run.json").read_text())["run_id"]
    card.write_text(
        re.sub(r"(?s)(<!-- evidence: begin -->).*?(<!-- evidence)", rf"\1\nRun `{run}`\n\2", card.read_text())
    )
    subprocess.run(["git", "commit", "-qam", "Card"], cwd=project, check=True)
    subprocess.run(["git", "push", "-q"], cwd=project, check=True)
    done = mlproj("handover", cwd=project)
    assert done.returncode == 0, done.stdout
    assert "✓ nothing is missing in docs/scoping.md" in done.stdout
