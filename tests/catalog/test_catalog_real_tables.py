"""The tables people begin with: what they are is known, and must be found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlproj.base.errors import ConfigError
from mlproj.catalog.findings import Column, Findings, Kind, Role, SplitKind, Storage, Task
from mlproj.catalog.infer import infer


def by_name(findings: Findings) -> dict[str, Column]:
    return {column.name: column for column in findings.columns}


def test_telco_churn(shared_data: Path) -> None:
    findings = infer(shared_data / "telco_churn.csv", "Churn")
    columns = by_name(findings)

    assert (findings.rows, findings.duplicates, len(columns)) == (7_043, 0, 21)
    assert (findings.target.task, findings.target.positive) == (Task.BINARY, "Yes")
    assert [(label.label, label.rows) for label in findings.target.classes] == [("No", 5_174), ("Yes", 1_869)]
    assert findings.missing_values == ("", " ")
    total = columns["TotalCharges"]
    assert (total.kind, total.storage, total.missing) == (Kind.NUMERIC, Storage.FLOAT, 11)
    assert "`TotalCharges` holds 11 times a blank among its numbers: read as missing" in findings.notes
    assert (columns["customerID"].kind, columns["customerID"].role) == (Kind.IDENTIFIER, Role.DROP)
    assert columns["customerID"].reason == "7,043 different values in 7,043 rows"
    assert columns["SeniorCitizen"].kind is Kind.BOOLEAN
    assert columns["Contract"].categories == ("Month-to-month", "One year", "Two year")
    assert (columns["tenure"].minimum, columns["tenure"].maximum) == (0, 72)
    assert findings.leaks == ()
    assert findings.split.kind is SplitKind.STRATIFIED


def test_penguins(shared_data: Path) -> None:
    findings = infer(shared_data / "penguins_raw.csv", "Species")
    columns = by_name(findings)

    assert (findings.rows, findings.target.task, len(findings.target.classes)) == (344, Task.MULTICLASS, 3)
    assert findings.missing_values == ("", "NA")
    assert {name for name, column in columns.items() if column.kind is Kind.CONSTANT} == {"Region", "Stage"}
    assert columns["Comments"].kind is Kind.TEXT
    assert (columns["Date Egg"].kind, columns["Date Egg"].format) == (Kind.DATETIME, "%Y-%m-%d")
    assert (columns["Date Egg"].minimum, columns["Date Egg"].maximum) == ("2007-11-09", "2009-12-01")
    assert columns["Sample Number"].role is Role.DROP
    assert (columns["Sex"].missing, columns["Sex"].categories) == (11, ("FEMALE", "MALE"))
    assert columns["Culmen Length (mm)"].missing == 2
    assert (findings.split.kind, findings.split.by) == (SplitKind.GROUPED, "Individual ID")
    assert findings.leaks == ()


def test_ames(shared_data: Path) -> None:
    findings = infer(shared_data / "ames.csv", "Sale_Price")
    columns = by_name(findings)

    assert (findings.rows, findings.target.task, findings.target.classes) == (2_930, Task.REGRESSION, ())
    assert (findings.target.minimum, findings.target.maximum, findings.target.median) == (
        12_789,
        755_000,
        160_000,
    )
    assert findings.missing_values == ("",)
    assert "None" in columns["Mas_Vnr_Type"].categories
    assert columns["Heating_QC"].categories == ("Poor", "Fair", "Typical", "Good", "Excellent")
    assert columns["Overall_Cond"].kind is Kind.ORDINAL
    assert columns["Pool_QC"].kind is Kind.CATEGORICAL
    assert columns["Year_Built"].kind is Kind.NUMERIC
    assert columns["Longitude"].role is Role.FEATURE
    assert {column.role for column in findings.columns} == {Role.FEATURE, Role.TARGET}
    assert findings.leaks == ()


def test_car_loans(shared_data: Path) -> None:
    findings = infer(shared_data / "car_loan_reference.csv", "repaid")
    columns = by_name(findings)

    assert (findings.target.task, findings.target.positive) == (Task.BINARY, "1.0")
    assert (columns["id"].kind, columns["timestamp"].kind) == (Kind.IDENTIFIER, Kind.DATETIME)
    assert columns["timestamp"].format == "%Y-%m-%d %H:%M:%S.%f"
    assert columns["debt_to_income_ratio"].kind is Kind.NUMERIC
    assert columns["repaid_loan_on_prev_car"].storage is Storage.BOOLEAN


def test_messages_without_a_header_are_explained(shared_data: Path) -> None:
    with pytest.raises(ConfigError, match="its first row looks like data") as refused:
        infer(shared_data / "sms_spam.tsv", "label")

    assert "a name for each of the 2 columns" in refused.value.hint


def test_a_series_by_month(shared_data: Path) -> None:
    findings = infer(shared_data / "airline_passengers.csv", "passengers")
    columns = by_name(findings)

    assert (columns["month"].kind, columns["month"].format) == (Kind.DATETIME, "%Y-%m")
    assert findings.target.task is Task.REGRESSION
    assert findings.leaks == ()


PACKAGED = """\
import sys
from sklearn.datasets import load_{name}
load_{name}(as_frame=True).frame.to_csv(sys.argv[1], index=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("iris", Task.MULTICLASS),
        ("wine", Task.MULTICLASS),
        ("breast_cancer", Task.BINARY),
        ("diabetes", Task.REGRESSION),
        ("digits", Task.MULTICLASS),
    ],
)
def test_the_sets_that_come_with_scikit_learn_have_no_leaks_and_no_identifiers(
    tmp_path: Path, project_python: Path, name: str, task: Task
) -> None:
    path = tmp_path / f"{name}.csv"
    subprocess.run([project_python, "-c", PACKAGED.format(name=name), path], check=True)
    findings = infer(path, "target")

    assert findings.target.task is task
    assert findings.leaks == ()
    assert not [column.name for column in findings.columns if column.kind is Kind.IDENTIFIER]
