from __future__ import annotations

from pathlib import Path

import pytest

from mlproj.provenance import installed

UV = """\
version = 1

[[package]]
name = "pandas"
version = "3.1.1"
source = { registry = "https://example.org" }

[[package]]
name = "numpy"
version = "2.3.0"

[[package]]
name = "numpy"
version = "2.4.6"
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with two packages, as folders; its interpreter."""
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    for name in ("pandas-3.1.1", "ruamel_yaml-0.18.6", "torch-2.9.0+cpu"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return tmp_path / "bin" / "python"


def test_what_an_environment_has_is_told_by_its_folders(environment: Path) -> None:
    found = {"pandas": "3.1.1", "ruamel-yaml": "0.18.6", "torch": "2.9.0+cpu"}
    assert installed.installed(environment) == found


def test_an_environment_that_sees_the_system_s_packages_cannot_be_told(environment: Path) -> None:
    settings = environment.parent.parent / "pyvenv.cfg"
    settings.write_text("include-system-site-packages = true\n")
    assert installed.installed(environment) is None
    settings.unlink()
    assert installed.installed(environment) is None


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        ("pandas==3.1.1\nRuamel.YAML==0.18.6\n", ()),
        ("pandas==3.0.2 ; python_version > '3'\n", ("pandas 3.1.1 instead of 3.0.2",)),
        ("torch==2.9.0+cpu\nnot-here==1.0\n", ()),
        (UV, ()),
        (UV.replace("3.1.1", "3.0.2"), ("pandas 3.1.1 instead of 3.0.2",)),
        ("packages:\n- conda: https://example.org/pandas.conda\n", None),
    ],
)
def test_a_lock_file_is_held_against_what_is_there(
    environment: Path, lock: str, expected: tuple[str, ...] | None
) -> None:
    has = installed.installed(environment)
    assert has is not None
    assert installed.differences(lock, has) == expected


def test_one_package_pinned_twice_may_be_either(environment: Path) -> None:
    assert installed.differences(UV, {"numpy": "2.3.0"}) == ()
    assert installed.differences(UV, {"numpy": "2.2.0"}) == ("numpy 2.2.0 instead of 2.3.0 or 2.4.6",)


def test_the_number_of_a_kernel_is_no_difference() -> None:
    one = "Linux-6.18.44-x86_64-with-glibc2.36"
    other = "Linux-5.10.0-25-amd64-x86_64-with-glibc2.36"
    assert installed.platform_of(one) == installed.platform_of(other) == "Linux-x86_64-with-glibc2.36"
    assert installed.platform_of("macOS-15.1-arm64-arm-64bit") != installed.platform_of(one)
