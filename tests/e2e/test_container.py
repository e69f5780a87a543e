"""The serving image without a container: what its Dockerfile runs, in folders that stand for the image's."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import REPOSITORY
from tests.template.dockerfile import Instruction, ignored, last, read

Tool = Callable[..., subprocess.CompletedProcess[str]]

TOKEN = "a-token-of-sixteen"


@pytest.mark.slow
def test_the_image_s_commands_install_serve_answer_and_end(
    project: Path, tool: Tool, tmp_path: Path, project_python: Path
) -> None:
    assert tool(project, "dvc", "repro", "bench").returncode == 0
    image = tmp_path / "image"
    left_out = ignored(project)
    shutil.copytree(
        project,
        image / "project",
        ignore=lambda folder, names: {
            name
            for name in names
            if any(
                fnmatch.fnmatch(Path(folder, name).relative_to(project).as_posix(), pattern)
                or name == pattern
                for pattern in left_out
            )
        },
    )
    root = image / "project"
    assert not (root / "mlflow.db").exists()
    instructions = read(root / "Dockerfile")
    serve = [each for each in instructions if each.stage == "serve"]

    def inside(text: str) -> str:
        """What the image has at `/`, the test has in a folder; the user is whoever runs the test."""
        text = re.sub(r"(?<![\w.$}/])/(opt|data|cache|project)\b", rf"{image}/\1", text)
        return text.replace("--owner 10001 ", "").replace("/usr/local/bin/python", str(project_python))

    wheel = _wheel(tmp_path)
    env = {
        **os.environ,
        **{"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "MLPROJ": str(wheel), "MLPROJ_TOKEN": TOKEN},
        "PATH": f"{project_python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    for each in instructions:
        # The others need a network, or are the machine's.
        if each.name == "RUN" and "mlproj" in each.value:
            command = inside(each.value).replace("python -m venv", f"{sys.executable} -m venv")
            done = _run(["sh", "-e", "-c", command], root, env)
            assert done.returncode == 0, (each.value, done.stdout, done.stderr)
    # mlproj was installed without what it depends on, which would have come from the network.
    (packages,) = (image / "opt" / "mlproj" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', inside(last(serve, "ENV").value)):
        env[name] = value.strip('"').replace("$PATH", env["PATH"])

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def words(instruction: Instruction) -> list[str]:
        return [word.replace("8080", port) for word in instruction.words]

    refused = _run(words(last(serve, "CMD")), root, {**env, "MLPROJ_TOKEN": ""})
    assert refused.returncode == 2
    assert "MLPROJ_TOKEN" in refused.stderr

    assert shutil.which("mlproj", path=env["PATH"]) == str(image / "opt" / "mlproj" / "bin" / "mlproj")
    server = subprocess.Popen(words(last(serve, "CMD")), cwd=root, env=env, stderr=subprocess.DEVNULL)
    check = words(last(serve, "HEALTHCHECK"))
    try:
        deadline = time.monotonic() + 60
        while _run(check, root, env).returncode and time.monotonic() < deadline:
            time.sleep(0.3)
        assert _run(check, root, env).returncode == 0
        deployed = _run(["mlproj", "deploy"], root, env)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        row = json.loads((root / "models" / "package" / "package.json").read_text())["example"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict",
            data=json.dumps(row).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert "prediction" in json.load(answer)
        assert list((image / "data").rglob("*.db")), "the log is in the volume"
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    assert code == 0
    assert _run(check, root, env).returncode != 0


def _run(words: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def _wheel(folder: Path) -> Path:
    """mlproj as it is published."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return next(folder.glob("*.whl"))
