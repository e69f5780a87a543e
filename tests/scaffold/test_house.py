"""A house's defaults: whose word counts, and what is said of one that cannot be understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold import house, lock
from tests.scaffold.test_template import cookiecutter
from tests.support import Run


def users(home: Path, text: str) -> None:
    path = home / ".config/mlproj/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_an_option_goes_before_the_named_file_and_that_before_the_users_own(
    tmp_path: Path, isolate: Path, mlproj: Run
) -> None:
    users(isolate, '[new]\nauthor = "Home"\nlicense = "none"\ndocs = "none"\nstorage = "local"\n')
    named = tmp_path / "house.toml"
    named.write_text(
        '[new]\nauthor = "House"\nlicense = "Apache-2.0"\nstorage = "s3"\nstorage_url = "s3://house/x"\n'
    )
    words = ("--author", "A team", "--bare", "--env-manager", "none", "--config", named)
    done = mlproj("new", "alpha", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = lock.read(tmp_path / "alpha").answers
    told = {key: answers[key] for key in ("author", "license", "docs", "storage", "storage_url")}
    assert told == {
        "author": "A team",
        "license": "Apache-2.0",
        "docs": "none",
        "storage": "s3",
        "storage_url": "s3://house/x",
    }
    local = mlproj("new", "beta", *words, "--storage", "local", "--dry-run", cwd=tmp_path)
    assert local.returncode == 0, local.stderr


def test_a_house_can_have_a_template_and_one_project_can_do_without(
    tmp_path: Path, isolate: Path, mlproj: Run
) -> None:
    cookiecutter(isolate / ".config/mlproj/theirs")
    users(isolate, '[new]\ntemplate = "theirs"\n')
    shown = mlproj("new", "alpha", "--dry-run", cwd=tmp_path)
    assert "a Cookiecutter template of 3 files" in shown.stdout
    assert mlproj("new", "alpha", "--defaults", cwd=tmp_path).returncode == 2
    own = mlproj("new", "alpha", "--template", "mlproj", "--dry-run", cwd=tmp_path)
    assert "params.yaml" in own.stdout


def test_unknown_keys_are_warned_of_with_the_nearest_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[new]\nlicence = "MIT"\ntrust = "yes"\n\n[knew]\na = 1\n')
    found = house.load(path, environ={"XDG_CONFIG_HOME": str(tmp_path / "none")})
    assert found.defaults == {}
    assert found.warnings == (
        f"`{path}`: `knew` is not known, and left out; did you mean `new`?",
        f"`{path}`: `[new] licence` is not known, and left out; did you mean `license`?",
        f"`{path}`: `[new] trust` is not known, and left out",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[new]\nauthor = Ada\n", r"is not TOML: .*line 2"),
        ("new = 1\n", r"must be a table"),
        ("[new]\npython = 3.12\n", r"`\[new\] python` must be a text"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mlproj/config.toml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        house.load(None, environ={"XDG_CONFIG_HOME": str(tmp_path)})


def test_a_default_that_cannot_be_is_named_with_its_file(tmp_path: Path, isolate: Path, mlproj: Run) -> None:
    users(isolate, '[new]\nstorage_url = "s3://x/y"\n')
    named = tmp_path / "c.toml"
    named.write_text('[new]\nlicense = "GLP"\n')
    done = mlproj("new", "alpha", "--defaults", "--config", named, cwd=tmp_path)
    assert done.returncode == 2
    assert "`--license GLP` is not one of" in done.stderr
    assert f"(it stands in `{named}`)" in done.stderr
    other = mlproj("new", "alpha", "--defaults", "--license", "MIT", "--config", named, cwd=tmp_path)
    assert f"(it stands in `{isolate / '.config/mlproj/config.toml'}`)" in other.stderr


@pytest.mark.parametrize("manager", ["uv", "none"])
def test_a_python_that_no_project_can_have_is_named_with_its_file(
    tmp_path: Path, mlproj: Run, manager: str
) -> None:
    named = tmp_path / "c.toml"
    named.write_text(f'[new]\npython = "3.9"\nenv_manager = "{manager}"\n')
    done = mlproj("new", "alpha", "--defaults", "--config", named, cwd=tmp_path)
    assert done.returncode == 2
    assert "`--python 3.9`" in done.stderr
    assert f"(it stands in `{named}`)" in done.stderr


def test_a_named_file_has_to_be_there_and_the_users_own_need_not(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert house.load(None, environ=environ).defaults == {}
    with pytest.raises(ConfigError, match="is not there"):
        house.load(tmp_path / "nowhere.toml", environ=environ)
    assert list(tmp_path.iterdir()) == []
