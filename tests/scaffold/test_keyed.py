"""Settings merged by key, as text: every comment stays, and only a real dispute is left."""

from __future__ import annotations

import pytest

from mlproj.scaffold.keyed import is_sound, merge

STAGES = """\
# The pipeline.

stages:
  # reads
  ingest:
    cmd: python -m app.ingest # the first
    deps:
      - data/raw.csv
      - app/config.py
    outs:
      - data/table.parquet
      - reports/ingest.json:
          cache: false

  train:
    cmd: >
      python -m app.train
    params: [train]

plots:
  - reports/a.csv:
      x: a
"""


def yaml(base: str, yours: str, theirs: str) -> str:
    """The merge, which must be clean."""
    return clean(".yaml", base, yours, theirs)


def toml(base: str, yours: str, theirs: str) -> str:
    return clean(".toml", base, yours, theirs)


def clean(suffix: str, base: str, yours: str, theirs: str) -> str:
    merged = merge(suffix, base=base.encode(), yours=yours.encode(), theirs=theirs.encode())
    assert merged is not None
    assert merged.base == merged.yours == merged.theirs
    return merged.yours.decode()


def test_stages_that_both_append_stand_one_after_the_other() -> None:
    theirs = "\n  # theirs\n  package:\n    cmd: package # why\n"
    mine = "\n  # mine\n  report:\n    cmd: report\n"
    end = "    params: [train]\n"
    merged = yaml(STAGES, STAGES.replace(end, end + mine), STAGES.replace(end, end + theirs))
    assert merged == STAGES.replace(end, end + theirs + mine)


def test_entries_that_both_append_to_one_list_are_both_there() -> None:
    end = "      - app/config.py\n"
    merged = yaml(
        STAGES,
        STAGES.replace(end, end + "      - app/mine.py # mine\n"),
        STAGES.replace(end, end + "      - app/theirs.py\n").replace("app.ingest #", "app.ingest --fast #"),
    )
    assert "      - app/config.py\n      - app/theirs.py\n      - app/mine.py # mine\n    outs:" in merged
    assert "    cmd: python -m app.ingest --fast # the first\n" in merged


def test_what_the_template_takes_out_goes_and_what_the_user_took_out_stays_out() -> None:
    mine = STAGES.replace("      - data/raw.csv\n", "") + "  - reports/mine.csv\n"
    theirs = (
        STAGES.replace("      - app/config.py\n", "      - app/settings.py\n") + "  - reports/theirs.csv\n"
    )
    merged = yaml(STAGES, mine, theirs)
    assert "    deps:\n      - app/settings.py\n    outs:" in merged
    assert merged.endswith("  - reports/theirs.csv\n  - reports/mine.csv\n")


def test_only_what_both_changed_differently_is_in_dispute() -> None:
    mine = STAGES.replace("[train]", "[train, mine]").replace(
        "cache: false\n", "cache: false\n          push: false\n"
    )
    theirs = STAGES.replace("[train]", "[train, theirs]").replace(
        "python -m app.ingest", "python3 -m app.ingest"
    )
    merged = merge(".yaml", base=STAGES.encode(), yours=mine.encode(), theirs=theirs.encode())
    assert merged is not None
    assert merged.yours.decode() == mine.replace("python -m app.ingest", "python3 -m app.ingest")
    assert merged.theirs == merged.yours.replace(b"[train, mine]", b"[train, theirs]")
    assert merged.base == merged.yours.replace(b"[train, mine]", b"[train]")


def test_a_file_indented_anew_takes_what_is_new_at_its_own_depth() -> None:
    wide = "\n".join(
        " " * (len(line) - len(line.lstrip())) + line if line.strip() else line for line in STAGES.split("\n")
    )
    merged = yaml(STAGES, wide, STAGES.replace("\nplots:", "\n  more:\n    cmd: more\n\nplots:"))
    assert "\n    more:\n      cmd: more\n" in merged
    assert "\n    ingest:\n" in merged


def test_the_same_change_on_both_sides_is_no_dispute() -> None:
    same = STAGES.replace("[train]", "[train, split]")
    assert yaml(STAGES, same + "mine: 1\n", same + "theirs: 1\n") == same + "theirs: 1\nmine: 1\n"


def test_comments_that_both_wrote_are_for_a_person() -> None:
    merged = merge(
        ".yaml",
        base=STAGES.encode(),
        yours=STAGES.replace("# reads", "# mine").encode(),
        theirs=STAGES.replace("# reads", "# theirs").encode(),
    )
    assert merged is not None
    assert b"# mine" in merged.yours
    assert b"# theirs" in merged.theirs


def test_a_key_that_one_took_out_and_the_other_changed_is_in_dispute() -> None:
    without = STAGES[: STAGES.index("\n  train:")] + STAGES[STAGES.index("\nplots:") :]
    merged = merge(
        ".yaml",
        base=STAGES.encode(),
        yours=without.encode(),
        theirs=STAGES.replace("[train]", "[train, split]").encode(),
    )
    assert merged is not None
    assert b"train:" not in merged.yours
    assert b"[train, split]" in merged.theirs


@pytest.mark.parametrize(
    "text",
    [
        "a: &here {x: 1}\nb: *here\n",
        "a: 1\na: 2\n",
        "- a\n- b\n",
        "a: [\n",
        "{a: 1}\n",
        "a: 1\n---\nb: 2\n",
        "\ta: 1\n",
        "a: \xff\n",
    ],
)
def test_what_cannot_be_taken_apart_is_left_to_the_lines(text: str) -> None:
    odd = text.encode("latin-1")
    assert merge(".yaml", base=b"a: 0\n", yours=odd, theirs=b"a: 0\nz: 1\n") is None


PROJECT = """\
[project]
name = "app"
dependencies = [
  "mlflow>=3.1",
  "pandas>=2",  # frames
]

[dependency-groups]
dev = ["ruff"]

[tool.ruff]
line-length = 100 # wide

[tool.ruff.lint]
select = ["E"]
"""


def test_a_new_bound_of_the_template_s_and_a_package_of_the_user_s_come_together() -> None:
    end = '  "pandas>=2",  # frames\n'
    merged = toml(
        PROJECT,
        PROJECT.replace(end, '  "pandas>=2",  # frames\n  # boosted\n  "lightgbm>=4"\n'),
        PROJECT.replace("mlflow>=3.1", "mlflow>=3.2").replace(end, end + '  "pyarrow",\n'),
    )
    assert (
        '  "mlflow>=3.2",\n  "pandas>=2",  # frames\n  "pyarrow",\n  # boosted\n  "lightgbm>=4",\n]' in merged
    )


def test_tables_and_keys_that_both_append_are_both_there() -> None:
    merged = toml(
        PROJECT,
        PROJECT + '\n# mine\n[tool.mine]\nx = """\n[not.a.table]\n"""\n',
        PROJECT.replace("100 # wide\n", "100 # wide\npreview = true\n") + "\n[tool.theirs]\ny.z = 1\n",
    )
    assert "line-length = 100 # wide\npreview = true\n" in merged
    assert merged.endswith(
        'select = ["E"]\n\n[tool.theirs]\ny.z = 1\n\n# mine\n[tool.mine]\nx = """\n[not.a.table]\n"""\n'
    )


def test_a_value_that_both_changed_is_in_dispute_and_nothing_else() -> None:
    mine = PROJECT.replace("100 # wide", "90 # mine")
    theirs = PROJECT.replace("100 # wide", "110 # wide").replace('"ruff"', '"ruff>=1"')
    merged = merge(".toml", base=PROJECT.encode(), yours=mine.encode(), theirs=theirs.encode())
    assert merged is not None
    assert merged.yours.decode() == mine.replace('"ruff"', '"ruff>=1"')
    assert merged.theirs.decode() == theirs


def test_tables_of_one_name_are_told_apart_by_what_is_in_them() -> None:
    one = '[[source]]\nname = "a"\n'
    merged = toml(one, one + '\n[[source]]\nname = "mine"\n', one + '\n[[source]]\nname = "theirs"\n')
    assert merged.count("[[source]]") == 3


@pytest.mark.parametrize(
    ("suffix", "text", "sound"),
    [
        (".yaml", "a: 1\nb: 2\n", True),
        (".yaml", "a: 1\na: 2\n", False),
        (".yaml", "a:\n  b: 1\n  b: 2\n", False),
        (".toml", "a = 1\na = 2\n", False),
        (".toml", "[a]\nx = 1\n[a.b]\n", True),
        (".txt", "a\na\n", True),
    ],
)
def test_a_key_twice_is_seen(suffix: str, text: str, sound: bool) -> None:
    assert is_sound(suffix, text.encode()) is sound
