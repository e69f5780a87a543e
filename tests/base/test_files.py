from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlproj.base import files
from mlproj.base.errors import MlprojError


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("old")
    path.chmod(0o750)
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o750
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_gets_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_link_goes_on_pointing_at_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for the full disk: the kernel refuses the write half way, for root as well."""
    path = tmp_path / "params.yaml"
    path.write_text("old")
    program = (
        "import resource, signal; from pathlib import Path; from mlproj.base import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"files.write_text(Path({str(path)!r}), 'x' * 5000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "could not be written: File too large" in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MlprojError, match=r"file/below`? could not be written"):
        files.write_text(tmp_path / "file" / "below", "text")


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_report_that_a_dying_stage_left_reads_as_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    assert files.read_json(tmp_path / "report.json") is None
    assert files.read_json(tmp_path / "none.json") is None
