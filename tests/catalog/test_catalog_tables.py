"""Tables of every shape, inferred whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog.findings import Column, Findings, Kind, Role, SplitKind, Storage, Task
from mlproj.catalog.infer import infer
from mlproj.catalog.source import guess_delimiter
from tests.support import REPOSITORY

Write = Callable[..., Path]


def column(findings: Findings, name: str) -> Column:
    (found,) = (column for column in findings.columns if column.name == name)
    return found


def test_findings_survive_being_kept(write: Write, body: str) -> None:
    findings = infer(write("size,colour,label\n" + body), "label")
    kept = json.loads(json.dumps(findings.to_json()))

    assert Findings.from_json(kept) == findings
    assert " ".join(kept) == (
        "version simulated source rows target missing_values duplicates columns leaks split notes"
    )


def test_findings_of_another_version_are_refused(write: Write, body: str) -> None:
    kept = infer(write("size,colour,label\n" + body), "label").to_json()

    with pytest.raises(ConfigError, match="version `2`"):
        Findings.from_json({**kept, "version": 2})
    with pytest.raises(ConfigError, match="not what mlproj writes"):
        Findings.from_json({**kept, "target": {}})


def test_the_same_file_gives_the_same_findings(write: Write) -> None:
    chance = random.Random(5)
    rows = "".join(
        f"{chance.gauss(0, 1)},{chance.random():.3f},{chance.randrange(99)},{chance.choice('ab')}\n"
        for _ in range(9_000)
    )
    path = write("a,b,c,label\n" + rows)

    assert len({json.dumps(infer(path, "label").to_json()) for _ in range(3)}) == 1


def test_what_was_guessed_is_said_and_what_was_given_is_not(write: Write, body: str) -> None:
    path = write("size,colour,label\n" + body)

    assert infer(path, "label").source.guessed == ("delimiter", "encoding")
    assert infer(path, "label", delimiter=",", encoding="utf-8").source.guessed == ()


@pytest.mark.parametrize(
    ("delimiter", "name", "expected"),
    [
        (";", "table.csv", "csv"),
        ("\t", "table.txt", "tsv"),
        ("|", "table.data", "csv"),
        ("\t", "table.tsv", "tsv"),
    ],
)
def test_the_delimiter_is_found_in_the_file(
    write: Write, body: str, delimiter: str, name: str, expected: str
) -> None:
    findings = infer(write(("size,colour,label\n" + body).replace(",", delimiter), name), "label")

    assert (findings.source.delimiter, findings.source.format) == (delimiter, expected)
    assert findings.rows == 100


def test_commas_in_sentences_do_not_outvote_the_tabs() -> None:
    lines = "".join(
        f"{'ham' if i % 3 else 'spam'}\tWell, I said{', and more' * (i % 4)}\n" for i in range(50)
    )

    assert guess_delimiter("label\ttext\n" + lines) == "\t"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_the_encoding_is_found_in_the_file(write: Write, body: str, encoding: str) -> None:
    text = ("size,colour,label\n" + body).replace("red", "rosé")
    findings = infer(write(text.encode(encoding)), "label")

    assert findings.source.encoding == encoding
    assert column(findings, "colour").categories == ("blue", "green", "rosé")


def test_an_encoding_that_is_given_is_used(write: Write, body: str) -> None:
    text = ("size,colour,label\n" + body).replace("red", "červená")
    findings = infer(write(text.encode("cp1250")), "label", encoding="cp1250")

    assert "červená" in column(findings, "colour").categories


def test_names_may_hold_anything(write: Write) -> None:
    names = [
        "class",
        "lambda",
        'a "quote"',
        "{{ braces }}",
        "two\nlines",
        "größe",
        "it's",
        "100%",
        "a`tick",
        " edge ",
    ]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in [*names, "label"])
    chance = random.Random(4)
    rows = "".join(
        ",".join([*(f"{chance.random():.3f}" for _ in names), chance.choice(["yes", "no"])]) + "\n"
        for _ in range(60)
    )
    findings = infer(write(f"{header}\n{rows}"), "label")

    assert [column.name for column in findings.columns] == [*names, "label"]
    assert all(column.kind is Kind.NUMERIC for column in findings.columns[:-1])


def test_no_reason_and_no_note_has_a_line_break(write: Write) -> None:
    rows = "".join(f"c{i % 40},2020-01-{i % 28 + 1:02},x{i}@,{i % 2}\n" for i in range(400))
    findings = infer(write('"customer\nid","a\ndate","a\nkey","out\ncome"\n' + rows), "out\ncome")

    said = [*findings.notes, findings.split.reason, *(column.reason for column in findings.columns)]
    assert not any("\n" in sentence for sentence in said)


@pytest.mark.parametrize("name", ["*[a].csv", "it's.csv", "naïve table.csv"])
def test_a_file_may_be_called_anything(write: Write, body: str, name: str) -> None:
    findings = infer(write("size,colour,label\n" + body, name), "label")

    assert (findings.source.name, findings.rows) == (name, 100)


def test_rows_without_a_label_are_counted(write: Write, body: str) -> None:
    findings = infer(write("size,colour,label\n" + body + "1,red,\n" * 3 + "2,red,NA\n"), "label")

    assert findings.target.missing_rows == 4
    assert [label.label for label in findings.target.classes] == ["no", "yes"]
    assert any(note.startswith("4 of 104 rows without a label") for note in findings.notes)


def test_duplicates_are_rows_that_repeat_an_earlier_one(write: Write, body: str) -> None:
    findings = infer(write("size,colour,label\n" + body + body[:-1] + "\n7,red,no\n"), "label")

    assert findings.duplicates == 100


def test_blanks_among_numbers_are_missing_numbers(write: Write, body: str) -> None:
    findings = infer(write("size,colour,label\n" + body + " ,red,yes\n" * 3), "label")

    assert findings.missing_values == ("", " ")
    assert (column(findings, "size").kind, column(findings, "size").missing) == (Kind.NUMERIC, 3)
    assert "`size` holds 3 times a blank among its numbers: read as missing" in findings.notes


def test_a_spelling_that_is_told_is_missing_in_numbers_and_words(write: Write, body: str) -> None:
    findings = infer(
        write("size,colour,label\n" + body + "-999,unset,yes\n" * 3), "label", missing=["-999", "unset"]
    )

    assert findings.missing_values == ("", "-999", "unset")
    assert column(findings, "size").minimum != -999
    assert column(findings, "colour").missing == 3


def test_dates_that_could_be_read_two_ways_are_pointed_out(write: Write, body: str) -> None:
    lines = body.splitlines()
    rows = "".join(f"{i % 12 + 1:02}/{i % 11 + 1:02}/2020,{line}\n" for i, line in enumerate(lines))
    findings = infer(write("when,size,colour,label\n" + rows), "label")

    assert column(findings, "when").format == "%m/%d/%Y"
    assert any("can be read with the month or the day first" in note for note in findings.notes)


def test_a_date_that_does_not_exist_makes_the_column_no_date(write: Write, body: str) -> None:
    rows = "".join(f"2020-02-{i % 31 + 1:02},{line}\n" for i, line in enumerate(body.splitlines()))
    findings = infer(write("when,size,colour,label\n" + rows), "label")

    assert column(findings, "when").kind is Kind.CATEGORICAL


def test_a_date_alone_does_not_make_the_split_one_by_time(write: Write, body: str) -> None:
    rows = "".join(f"2020-01-{i % 28 + 1:02},{line}\n" for i, line in enumerate(body.splitlines()))
    findings = infer(write("when,size,colour,label\n" + rows), "label")

    assert (column(findings, "when").role, column(findings, "when").maximum) == (Role.FEATURE, "2020-01-28")
    assert findings.split.kind is SplitKind.STRATIFIED
    assert any("split by time" in note for note in findings.notes)


def test_customers_seen_every_month_stay_in_one_split(write: Write) -> None:
    chance = random.Random(6)
    rows = "".join(
        f"C{customer},{month},{chance.random():.4f},{chance.choice('ab')}\n"
        for month in range(6)
        for customer in range(90)
    )
    findings = infer(write("customer_id,month,spend,label\n" + rows), "label")

    assert (findings.split.kind, findings.split.by) == (SplitKind.GROUPED, "customer_id")
    assert column(findings, "customer_id").role is Role.GROUP


def test_what_each_customer_keeps_is_no_leak_for_being_remembered(write: Write) -> None:
    chance = random.Random(6)
    rows = "".join(
        f"C{customer},{month},town {customer},{chance.random():.4f},{'yes' if customer % 3 else 'no'}\n"
        for month in range(6)
        for customer in range(90)
    )
    findings = infer(write("customer_id,month,town,spend,label\n" + rows), "label")

    assert findings.leaks == ()


def test_a_leak_is_dropped_says_why_and_can_be_kept(write: Write, body: str) -> None:
    rows = "".join(f"{line.endswith('yes')},{line}\n" for line in body.splitlines())
    path = write("closed,size,colour,label\n" + rows)
    findings = infer(path, "label")

    assert [(leak.column, leak.measure, leak.score) for leak in findings.leaks] == [
        ("closed", "roc_auc", 1.0)
    ]
    assert column(findings, "closed").role is Role.LEAK
    assert "list it as a feature" in column(findings, "closed").reason
    assert infer(path, "label", keep=["closed"]).leaks == ()


def test_a_kept_identifier_is_a_feature(write: Write, body: str) -> None:
    rows = "".join(f"{i},{line}\n" for i, line in enumerate(body.splitlines()))
    path = write("id,size,colour,label\n" + rows)

    assert column(infer(path, "label"), "id").kind is Kind.IDENTIFIER
    assert column(infer(path, "label", keep=["id"]), "id").role is Role.FEATURE


def test_numbers_with_a_decimal_comma_are_pointed_out(write: Write, body: str) -> None:
    findings = infer(write("size;colour;label\n" + body.replace(",", ";").replace(".", ",")), "label")

    assert column(findings, "size").role is Role.FEATURE
    assert any("numbers with a decimal comma" in note for note in findings.notes)


def test_numbers_with_a_few_words_are_pointed_out(write: Write, body: str) -> None:
    findings = infer(write("size,colour,label\n" + body + "broken,red,yes\n"), "label")

    assert column(findings, "size").kind is Kind.CATEGORICAL
    assert any("100 of 101 are numbers" in note for note in findings.notes)


def test_a_first_row_that_looks_like_data_is_pointed_out(write: Write, body: str) -> None:
    findings = infer(write(body), "no" if body.splitlines()[0].endswith("no") else "yes")

    assert any("first row looks like data" in note for note in findings.notes)


def test_five_thousand_columns_are_a_table_like_any_other(write: Write) -> None:
    chance = random.Random(8)
    header = ",".join([*(f"x{i}" for i in range(4_999)), "label"])
    rows = "\n".join(
        ",".join([*(f"{chance.random():.3f}" for _ in range(4_999)), "ab"[i % 2]]) for i in range(60)
    )
    findings = infer(write(f"{header}\n{rows}\n"), "label")

    assert len(findings.columns) == 5_000
    assert {column.kind for column in findings.columns[:-1]} == {Kind.NUMERIC}


def test_parquet_is_read_as_it_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    query = (
        "select i::double / 3 as size, i % 2 = 0 as flag, date '2020-01-01' + (i % 50)::integer as day,"
        " case when i % 10 = 0 then null else i * 7919 % 60 end as maybe, ['a', 'b', 'c'][1 + i % 3] as label"
        " from range(300) t(i)"
    )
    duckdb.execute(f"copy ({query}) to '{path}' (format parquet)")
    findings = infer(path, "label")

    assert (findings.source.format, findings.source.guessed, findings.missing_values) == ("parquet", (), ())
    assert findings.target.task is Task.MULTICLASS
    assert column(findings, "flag").categories == ("False", "True")
    assert column(findings, "flag").storage is Storage.BOOLEAN
    assert column(findings, "day").format == "%Y-%m-%d"
    assert (column(findings, "maybe").missing, column(findings, "maybe").kind) == (30, Kind.NUMERIC)


@pytest.mark.parametrize("name", ["table.jsonl", "table.json", "table.txt"])
def test_json_lines_are_known_by_their_content(write: Write, name: str) -> None:
    chance = random.Random(2)
    rows = [
        {
            "size": round(chance.random(), 3),
            "flag": chance.random() < 0.5,
            "kind": chance.choice("abc"),
            "label": i % 2,
        }
        for i in range(80)
    ]
    del rows[3]["kind"]
    findings = infer(write("".join(json.dumps(row) + "\n" for row in rows), name), "label")

    assert (findings.source.format, findings.rows) == ("jsonl", 80)
    assert column(findings, "flag").categories == ("False", "True")
    assert column(findings, "kind").missing == 1
    assert findings.target.positive == "1"


LONG_QUERY = """
import sys
from pathlib import Path
from mlproj.catalog import source
from mlproj.catalog.duckdb import opened

with opened(source.examine(Path(sys.argv[1]), delimiter=None, encoding=None)) as table:
    print("asking", flush=True)
    table._connection.run("select sum(sin(i)) from range(20000000000) t(i)")
"""


def test_an_interruption_is_one_and_leaves_nothing_behind(write: Write, body: str, tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    path = write("size,colour,label\n" + body)
    command = [sys.executable, "-c", LONG_QUERY, str(path)]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asking\n"
        for _ in range(20):
            # As people do: again, when nothing seems to happen.
            child.send_signal(signal.SIGINT)
            try:
                child.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            child.kill()
        assert child.stderr is not None
        said = child.stderr.read()
    assert "KeyboardInterrupt" in said
    assert list(place.iterdir()) == []
