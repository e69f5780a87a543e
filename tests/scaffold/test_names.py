from __future__ import annotations

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold import names


@pytest.mark.parametrize("name", ["churn", "churn-model", "Churn_Model2", "a1"])
def test_an_ordinary_name_is_taken_as_it_is(name: str) -> None:
    assert names.check_project(name) == name
    assert names.module_for(name) == name.lower().replace("-", "_")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("", "my-project"),
        ("..", "my-project"),
        ("../x", "x"),
        ("my project", "my-project"),
        ("prévision", "prevision"),
        ("2fast", "fast"),
        ("churn--model", "churn-model"),
        ("-rf", "rf"),
        ("日本", "my-project"),
        ("x" * 33, "x" * 32),
        ("my class/../if", "my-class-if"),
        ("mlflow", "mlflow-project"),
        ("Scikit-Learn", "Scikit-Learn-project"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name: str, instead: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names.check_project(name)
    assert f"`{name}`" in caught.value.message
    assert f"`{instead}`" in caught.value.hint
    names.check_project(instead)
    names.module_for(instead)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("class", "word of the Python language"),
        ("match", "word of the Python language"),
        ("json", "standard library"),
        ("random", "standard library"),
        ("mlflow", "a package the project needs"),
        ("sklearn", "a package the project needs"),
        ("tests", "another folder of the repository"),
        ("data", "another folder of the repository"),
        ("Churn", "small letters"),
        ("churn-model", "small letters"),
        ("_x", "small letters"),
        ("1x", "begins with a letter"),
        ("", "small letters"),
    ],
)
def test_a_module_that_python_would_not_find_is_refused(name: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names.check_module(name)
    assert why in caught.value.message
    assert "--module " in caught.value.hint


@pytest.mark.parametrize("name", ["json", "Class", "tests", "email"])
def test_a_project_whose_module_cannot_be_is_told_of_both_ways_out(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names.module_for(name)
    assert f"`{name}-project`" in caught.value.hint
    assert f"`--module {name.lower()}_project`" in caught.value.hint
