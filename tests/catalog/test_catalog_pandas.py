"""The generated pipeline reads the file with pandas: it must see the table that was inferred."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog import source
from mlproj.catalog.duckdb import opened
from mlproj.catalog.infer import infer

Write = Callable[..., Path]
pytestmark = pytest.mark.slow

READ = """\
import json, sys
import pandas as pd
for line in sys.stdin:
    asked = json.loads(line)
    frame = pd.read_csv(
        asked["path"], sep=asked["delimiter"], encoding=asked["encoding"], dtype=str, keep_default_na=False
    )
    print(json.dumps([list(frame.columns), frame.values.tolist()]))
"""

TABLES = {
    "empty fields, quoted and not": b'a,b\n,1\n"",2\n"x",\n',
    "line breaks in values": b'a,b\n"x\r\ny",2\n"p\nq",3\n',
    "line breaks in names": b'"a\nb",b\n1,2\n3,4\n',
    "a quote in the middle": b'a,b\nx"y,2\n6" pipe,4\n',
    "a quoted word in the middle": b'a,b\nx "y" z,2\n3,4\n',
    "letters after a closing quote": b'a,b\n"x"y,2\n3,4\n',
    "a space before a quote": b'a,b\n1, "x"\n3,4\n',
    "a space before a quote that opens a line": b'a,b\n1,2\n "x",4\n',
    "a space after a quote": b'a,b\n"x" ,2\n3,4\n',
    "doubled quotes": b'a,b\n"x""y",2\n"""",4\n',
    "blank lines": b"\n\na,b\n1,2\n\n\n3,4\n\n",
    "lines of white space": b"a,b\n1,2\n   \n3,4\n",
    "old Macintosh line ends": b"a,b\r1,2\r3,4\r",
    "mixed line ends": b"a,b\n1,2\r\n3,4\n5,6\r\n",
    "no last line end": b'a,b\n1,2\n3,"4"',
    "spaces at the edges": b"a, b \n 1 , 2\n3,4\n",
    "backslashes": b'a,b\n"x\\",2\n\\,3\n',
    "hashes": b"#a,b\n#x,2\n1,3\n",
    "what pandas would call missing": b"a,b\nNA,null\nNaN,None\n",
    "a byte order mark": b"\xef\xbb\xbfa,b\n1,2\n",
    "a byte order mark and quotes": b'\xef\xbb\xbf"a","b"\n"1","2"\n',
    "semicolons": b'a;b\n1,5;"x;y"\n2,5;z\n',
    "tabs": b'a\tb\n"x"\t2\ny \t 3\n',
    "tabs and empty fields": b'a\tb\tc\n\t\t"x"\n1\t\t2\n',
    "western letters": "naïve,größe\né,ü\nà,ß\n".encode("cp1252"),
    "two bytes a letter": "a,größe\né,ü\nà,ß\n".encode("utf-16"),
}


@pytest.fixture
def pandas(project_python: Path) -> Callable[[list[Path]], list[tuple[list[str], list[list[str]]]]]:
    """What pandas reads, told the delimiter and the encoding that were found: names, and rows of text."""

    def read(paths: list[Path]) -> list[tuple[list[str], list[list[str]]]]:
        asked = []
        for path in paths:
            found = source.examine(path, delimiter=None, encoding=None)
            asked.append({"path": str(path), "delimiter": found.delimiter, "encoding": found.encoding})
        done = subprocess.run(
            [project_python, "-c", READ],
            input="".join(json.dumps(one) + "\n" for one in asked),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return [(names, rows) for names, rows in map(json.loads, done.stdout.splitlines())]

    return read


def inferred(path: Path) -> tuple[list[str], list[list[str]]]:
    with opened(source.examine(path, delimiter=None, encoding=None)) as table:
        return list(table.names), [[str(cell) for cell in row] for row in table.head(100_000)]


def test_pandas_reads_the_same_names_and_values(
    write: Write, pandas: Callable[[list[Path]], list[tuple[list[str], list[list[str]]]]]
) -> None:
    paths = [write(content, f"table {number}.csv") for number, content in enumerate(TABLES.values())]

    for what, path, (names, rows) in zip(TABLES, paths, pandas(paths), strict=True):
        assert inferred(path) == (names, rows), what


def test_pandas_reads_the_same_of_text_made_to_confuse(
    write: Write, pandas: Callable[[list[Path]], list[tuple[list[str], list[list[str]]]]]
) -> None:
    chance = random.Random(9)
    paths = []
    for number in range(40):
        cells = [
            "".join(chance.choices('ab ,"\n\t', weights=[8, 8, 4, 1, 4, 1, 1], k=chance.randrange(6)))
            for _ in range(6)
        ]
        lines = [f"{left},{right}\n" for left, right in zip(cells[::2], cells[1::2], strict=True)]
        path = write("one,two\n" + "".join(lines), f"confusing {number}.csv")
        try:
            inferred(path)
        except ConfigError:
            # Ragged, or a quote left open: nobody reads it.
            continue
        paths.append(path)

    assert len(paths) >= 10
    for path, (names, rows) in zip(paths, pandas(paths), strict=True):
        assert inferred(path) == (names, rows), path.read_text()


NUMBERS = """\
import json, sys
import pandas as pd
values = json.load(sys.stdin)
print(json.dumps(pd.to_numeric(pd.Series(values), errors="coerce").isna().tolist()))
"""


def test_what_is_a_number_here_is_a_number_to_pandas(write: Write, body: str, project_python: Path) -> None:
    spelt = ["1", "-2.5", "+3", ".5", "4.", "1e5", "-1.2E-3", " 7", "8 ", "007", "123456789012345678901"]
    rows = "".join(f"{value},{line}\n" for value, line in zip(spelt * 9, body.splitlines(), strict=False))
    findings = infer(write("x,size,colour,label\n" + rows), "label", keep=["x"])
    done = subprocess.run(
        [project_python, "-c", NUMBERS],
        input=json.dumps(spelt),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    assert findings.columns[0].reason.startswith(f"{len(spelt)} different codes")
    assert json.loads(done.stdout) == [False] * len(spelt)
