"""How long inference takes, and how much memory, on tables of several shapes.

Each table is made from a fixed seed and inferred in a process of its own, so that peaks do not add up.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

SHAPES = ((10_000, 40), (100_000, 40), (1_000_000, 40), (1_000, 5_000))
# One of each, again and again until there are columns enough.
KINDS = (
    "round(random() * 1000, 6)",
    "round(-ln(random() + 1e-9) * 50, 2)",
    "(random() * 100)::integer",
    "(random() * 1000000)::integer",
    "['red', 'green', 'blue', 'a rather longer colour'][1 + (random() * 3.99)::integer % 4]",
    "case when random() < 0.05 then '' else round(random(), 4)::varchar end",
    "date '2020-01-01' + (random() * 1000)::integer",
    "case when random() < 0.1 then 'NA' else 'level ' || (random() * 30)::integer end",
    "(random() < 0.3)::integer",
    "'code-' || (random() * 50000)::integer",
)


def make(path: Path, rows: int, columns: int) -> None:
    """A table with an identifier, a binary target that one column helps to predict, and mixed columns."""
    import duckdb

    mixed = ", ".join(f"{KINDS[i % len(KINDS)]} as column_{i}" for i in range(columns - 3))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("select setseed(0.2)")
        connection.execute("set enable_progress_bar = false")
        connection.execute(
            f"create table made as select 'row-' || lpad(range::varchar, 9, '0') as row_key, {mixed},"
            f" random() as signal from range({rows})"
        )
        connection.execute(
            "copy (select *, if(signal + random() * 0.5 > 0.9, 'yes', 'no') as outcome from made)"
            f" to '{path}' (format csv, header)"
        )


def infer(path: Path) -> None:
    from mlproj.catalog.infer import infer as infer_table

    begin = time.perf_counter()
    findings = infer_table(path, "outcome")
    seconds = time.perf_counter() - begin
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.2f} {peak_mb:.0f} {findings.rows} {len(findings.columns)}")


def run(scratch: Path) -> None:
    """A table of each shape; the goal is 30 s and 3,000 MB for a million rows of 40 columns."""
    print(f"\ninference\n{'rows':>10} {'columns':>8} {'file MB':>8} {'seconds':>8} {'peak MB':>8}")
    for rows, columns in SHAPES:
        path = scratch / "table.csv"
        make(path, rows, columns)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.inference", path],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, peak_mb, *_ = done.stdout.split()
        size_mb = path.stat().st_size / 1e6
        path.unlink()
        print(f"{rows:>10,} {columns:>8,} {size_mb:>8.1f} {seconds:>8} {peak_mb:>8}", flush=True)


if __name__ == "__main__":
    infer(Path(sys.argv[1]))
