#!/usr/bin/env python3
"""Refuse a data dictionary that is not in step with the schema of the data.

    dictionary.py [--document FILE] [--schema FILE]          say what is missing, and what is too much
    dictionary.py --fix [--document FILE] [--schema FILE]    add the rows that are missing; take none away

The dictionary is the Markdown table whose first heading is `column`; the schema is the `DataFrameSchema({...})`
in the one `*/schema.py` there is. One whose names are not all written out is not judged.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path("docs/data.md")
CELLS = re.compile(r"(?<!\\)\|")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Hold the data dictionary to the schema.")
    parser.add_argument("--fix", action="store_true", help="add the rows that are missing")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--schema", type=Path)
    args = parser.parse_args(argv)
    schemas = [args.schema] if args.schema else sorted(Path().glob("*/schema.py"))
    if len(schemas) != 1 or not schemas[0].is_file() or not args.document.is_file():
        return 0
    columns = columns_of(schemas[0])
    lines = args.document.read_text(encoding="utf-8").splitlines()
    rows, last = rows_of(lines)
    if columns is None or last is None:
        return 0
    lacking = [name for name in columns if name not in rows]
    if lacking and args.fix:
        added = [f"| {cell(name)} | TODO |  |  | TODO |" for name in lacking]
        lines[last:last] = added
        args.document.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{args.document}:{last + 1}: added {len(added)} rows; say in them what is meant")
    for name in lacking if not args.fix else ():
        print(
            f"{schemas[0]}:{columns[name]}: column `{name}` is not in the dictionary: "
            f"add a row below {args.document}:{last}, or run {again()}"
        )
    gone = [name for name in rows if name not in columns]
    for name in gone:
        print(
            f"{args.document}:{rows[name]}: `{name}` is not in {schemas[0]}: take the row out, "
            "or give the schema the column"
        )
    return int(bool(lacking or gone))


def columns_of(schema: Path) -> dict[str, int] | None:
    """The columns of the schema as the dictionary has them, with their lines; None where none can be told."""
    try:
        tree = ast.parse(schema.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return None  # for ruff to say
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("DataFrameSchema"):
            keys = node.args[0].keys if node.args and isinstance(node.args[0], ast.Dict) else []
            # With a key that is computed, or `**others`, what is missing here may be there.
            if not keys or not all(isinstance(key, ast.Constant) for key in keys):
                return None
            return {
                plain(str(key.value)): key.lineno for key in keys if isinstance(key, ast.Constant)
            }
    return None


def rows_of(lines: Sequence[str]) -> tuple[dict[str, int], int | None]:
    """The names in the first column of the dictionary with their lines, and the table's last line."""
    rows: dict[str, int] = {}
    last, inside = None, False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        cells = [each.strip() for each in CELLS.split(text.strip("|"))]
        if not text.startswith("|"):
            inside = False
        elif cells[0].lower() == "column":
            inside, last = True, number
        elif inside:
            last = number
            if not set(cells[0]) <= set(":- "):
                rows[plain(cells[0].strip("`").replace("\\|", "|"))] = number
    return rows, last


def plain(name: str) -> str:
    """A name as a table can hold it: on one line, nothing before and after it."""
    return re.sub(r"[\r\n]", " ", name).strip().strip("`")


def cell(name: str) -> str:
    text = name.replace("|", "\\|")
    return text if "`" in name else f"`{text}`"


def again() -> str:
    runner = "hooks/run python " if Path("hooks/run").is_file() else ""
    return f"`{runner}{sys.argv[0]} --fix`"


if __name__ == "__main__":
    sys.exit(main())
