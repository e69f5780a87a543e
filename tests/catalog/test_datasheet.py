from __future__ import annotations

from pathlib import Path

from mlproj.catalog import datasheet

SHEET = """\
# Data

<!-- TODO in a comment asks nothing -->

## Datasheet

- **What is one row?**
  TODO
- **How many are there?**
  344 rows.

```
TODO in a listing asks nothing
```

### Uses

TODO

## Dictionary

| column | type | missing | values | meaning |
| --- | :-- | --- | --- | --- |
| `tenure` | numeric | 0 | 0 to 72 | months since the first invoice |
| `a \\| b` | text | 0 | e.g. `x` | TODO |

| not | the | dictionary |
| --- | --- | --- |
| x | y | z |
"""


def test_open_questions_are_named_by_what_they_ask(tmp_path: Path) -> None:
    (tmp_path / "data.md").write_text(SHEET)
    found = datasheet.load(tmp_path / "data.md")
    assert found.unanswered == ((8, "What is one row?"), (18, "Uses"))


def test_the_dictionary_is_read_by_its_first_column(tmp_path: Path) -> None:
    (tmp_path / "data.md").write_text(SHEET)
    found = datasheet.load(tmp_path / "data.md")
    assert found.columns == ("tenure", "a | b")
    assert found.undescribed == ("a | b",)


def test_a_missing_document_describes_nothing(tmp_path: Path) -> None:
    assert datasheet.load(tmp_path / "none.md") == datasheet.Datasheet(exists=False)
