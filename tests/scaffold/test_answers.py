from __future__ import annotations

import pytest

from mlproj.base.errors import ConfigError
from mlproj.scaffold.answers import Answers, EnvManager, License, Storage


def test_a_name_is_enough() -> None:
    answers = Answers.from_words({"project_name": "churn-model"})
    assert answers.module_name == "churn_model"
    assert answers.license is License.MIT
    assert answers.env_manager is EnvManager.UV
    assert answers.storage is Storage.LOCAL


def test_choices_may_be_spelt_as_people_do() -> None:
    answers = Answers.from_words(
        {"project_name": "x", "license": "apache", "env_manager": "UV", "docs": "MkDocs"}
    )
    assert (answers.license, answers.env_manager, answers.docs) == ("Apache-2.0", "uv", "mkdocs")


def test_the_answers_recorded_give_the_same_answers_again() -> None:
    answers = Answers.from_words(
        {"project_name": "x", "storage": "s3", "storage_url": "s3://b/c", "author": 'A "B" É', "docs": "none"}
    )
    assert Answers.from_words(answers.as_data()) == answers


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        ({"license": "MTI"}, "`--license MTI` is not one of", "`--license MIT`"),
        ({"env_manager": "hatch"}, "`--env-manager hatch`", "`--env-manager"),
        ({"python_version": "3.8"}, "`--python 3.8` is not one of", "`--python 3.11`"),
        ({"storage": "s3"}, "`--storage s3` needs an address", "--storage-url s3://bucket/folder"),
        ({"storage": "gcs", "storage_url": "s3://x/y"}, "not an address of `gcs`", "gs://bucket/folder"),
        ({"storage": "s3", "storage_url": "s3://"}, "not an address of `s3`", "s3://bucket/folder"),
        ({"storage_url": "s3://x/y"}, "does not go with local storage", "`--storage s3`"),
        ({"storage_url": "nowhere"}, "does not go with local storage", "leave `--storage-url` out"),
        ({"description": "two\nlines"}, "`--description` holds a line break", ""),
        ({"module_name": "json"}, "`json` would hide", "json_project"),
    ],
)
def test_answers_that_cannot_work_are_refused_with_what_would(
    words: dict[str, str], says: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Answers.from_words({"project_name": "x-model", **words})
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Answers.from_words({"project_name": "x y", "license": "?", "docs": "?", "storage": "ssh"})
    assert len(caught.value.message.splitlines()) == 4
