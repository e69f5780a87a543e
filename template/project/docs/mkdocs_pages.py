"""What the repository says of itself, as Markdown for the site. Nobody writes these pages or keeps them up."""

import datetime
import html
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from mkdocs.utils import meta

LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
NOT_YET = "*not answered yet*"
SECTIONS = ("problem", "solution", "feasibility", "ethics", "automation", "resources")
UNTIL_RUN = "The pipeline has not run here yet: `make train` runs it."


def promises(scope: dict[str, Any]) -> str:
    """The answers of the scoping document, which stand in front of its prose."""
    lines = []
    for section in SECTIONS:
        if scope.get(section) is not None:
            lines += [f"## {section.capitalize()}", "", *answers(scope[section]), ""]
    rows = [
        (kind, target.get("metric"), bound(target), target.get("split"), target.get("linked_to"))
        for kind, each in mapping(scope.get("targets")).items()
        for target in entries(each)
    ]
    lines += [
        "## Targets",
        "",
        *table(["kind", "metric", "promised", "split", "linked to"], rows),
        "",
    ]
    milestones = [
        (each.get("name"), each.get("due"), ", ".join(map(str, each.get("needs") or [])))
        for each in entries(scope.get("milestones"))
    ]
    lines += ["## Milestones", "", *table(["milestone", "due", "needs"], milestones), ""]
    return "\n".join([*lines, "## Signed off by", "", *approvals(scope), ""])


def results(root: Path) -> str:
    """What was measured, against what was promised and against the baselines; figures."""
    report = read(root, "evaluation")
    lines = ["# Results", ""]
    if not report:
        return "\n".join([*lines, UNTIL_RUN])
    splits = report["splits"]
    lines += [f"Intervals: {report['confidence']:.0%}, {report['method']}.", ""]
    promised = read(root, "targets").get("targets", {}).get("ml", [])
    rows = [
        (target["metric"], target.get("class"), target["split"], bound(target), spread(measured))
        for target, measured in zip(promised, report["targets"], strict=False)
    ]
    head = ["metric", "class", "split", "promised", "measured"]
    lines += ["## Promised and measured", "", *table(head, rows), ""]

    baseline = read(root, "baseline")
    simple = baseline.get("simple_model", "simple")
    for split, found in splits.items():
        beside = [baseline.get(kind, {}).get(split, {}) for kind in ("dummy", "simple")]
        rows = [
            (name, spread(value), *(scores.get(name) for scores in beside))
            for name, value in found["metrics"].items()
        ]
        head = ["metric", "this model", "a dummy", simple]
        lines += [f"## On {split}: {found['rows']:,} rows", "", *table(head, rows), ""]
        rows = [(label, *scores.values()) for label, scores in found.get("classes", {}).items()]
        if rows:
            lines += [*table(["class", *next(iter(found["classes"].values()))], rows), ""]
    rows = [
        (column, level, split, entry["rows"], spread(entry["metrics"].get(report["metric"], {})))
        for split, found in splits.items()
        for column, levels in found.get("slices", {}).items()
        for level, entry in levels.items()
    ]
    if rows:
        head = ["column", "value", "split", "rows", report["metric"]]
        lines += [f"## By slice: {report['metric']}", "", *table(head, rows), ""]
    figures = sorted((root / "reports" / "figures").glob("*.png"))
    lines += ["## Figures", ""]
    lines += [f"![{path.stem.replace('_', ' ')}](figures/{path.name})\n" for path in figures]
    return "\n".join(
        lines if figures else [*lines, "None here: `make sync_data_down` brings them."]
    )


def data(root: Path) -> str:
    """What the stages of the data phase counted."""
    ingest, split, validation = (read(root, name) for name in ("ingest", "split", "validation"))
    lines = ["## As the pipeline read them", ""]
    if not ingest:
        return "\n".join([*lines, UNTIL_RUN])
    dropped = ", ".join(
        f"{count:,} {why.replace('_', ' ')}" for why, count in ingest["dropped"].items()
    )
    lines += [
        f"{ingest['rows_read']:,} rows read, {ingest['rows']:,} kept. Dropped: {dropped}.",
        "",
    ]
    if validation:
        lines += [f"The schema is {'kept' if validation['passed'] else 'BROKEN'}.", ""]
    if split:
        by = f", by {code(split['by'])}" if split["by"] else ""
        lines += [f"Split: {split['kind']}{by}.", ""]
        lines += table(["split", "rows"], split["rows"].items())
    return "\n".join(lines)


def origin(root: Path) -> str:
    """Where the present model comes from, and how fast it answers."""
    path = root / "models" / "run.json"
    lines = ["## The present model", ""]
    if not path.is_file():
        return "\n".join([*lines, UNTIL_RUN])
    run = json.loads(path.read_text(encoding="utf-8"))
    code_, environment = run["code"], run["environment"]
    facts = {
        "run": code(run["run_id"]),
        "finished": run["finished"],
        "kind": run["params"]["train"]["model"],
        "commit": code(code_["commit"]) + (", with changes" if code_["dirty"] else ""),
        "environment": f"{code(environment['lock'])}, Python {environment['python']}",
        "seed": run["seed"],
    }
    lines += [*(f"- {name}: {fact}" for name, fact in facts.items()), ""]
    rows = [
        (name, file["path"], file["md5"], file.get("rows")) for name, file in run["data"].items()
    ]
    lines += ["Made from:", "", *table(["", "file", "MD5", "rows"], rows), ""]
    bench = read(root, "bench")
    if bench:
        rows = [
            (count, f"{ms['p50']:.2g} ms", f"{ms['p95']:.2g} ms")
            for count, ms in bench["rows"].items()
        ]
        lines += [f"Served by the engine {code(bench['engine'])}:", ""]
        lines += table(["rows at once", "half of the answers within", "95 % within"], rows)
    return "\n".join(lines)


def decisions(root: Path) -> str:
    """The notebook, newest first."""
    rows = []
    for path in sorted((root / "docs" / "decisions").glob("*.md"), reverse=True):
        text, front = meta.get_data(path.read_text(encoding="utf-8"))
        title = cell(front.get("title") or path.stem).replace("[", "").replace("]", "")
        about = [
            f"{key} {code(str(front[key])[:12])}" for key in ("run", "commit") if front.get(key)
        ]
        kind = "passed a closed gate" if front.get("kind") == "forced" else ""
        why = LINK.sub(r"\1", text.partition("## Why")[2].partition("\n## ")[0])
        rows.append(
            (front.get("date"), f"[{title}]({path.name})", cell(why), kind, ", ".join(about))
        )
    lines = ["# Decisions", "", "What was decided and why.", ""]
    if not rows:
        return "\n".join([*lines, "None is written down yet: a file in `docs/decisions/` each."])
    return "\n".join([*lines, *table(["date", "decision", "why", "", "about"], rows, raw=True)])


def pipeline(root: Path) -> str:
    """The stages, and the parameters with their reasons."""
    lines = ["# How it is made", ""]
    if not (root / "dvc.yaml").is_file():
        return "\n".join([*lines, "There is no pipeline yet: `dvc stage add` makes one."])
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8")).get("stages") or {}
    rows = [
        (name, (stage.get("meta") or {}).get("phase"), stage.get("desc"), code(stage.get("cmd")))
        for name, stage in stages.items()
    ]
    lines += ["`dvc repro` runs those that are out of date:", ""]
    lines += [*table(["stage", "phase", "does", "command"], rows, raw=True), ""]
    params = root / "params.yaml"
    if params.is_file():
        text = params.read_text(encoding="utf-8").rstrip()
        lines += [
            "## params.yaml",
            "",
            "Every choice, with its reason.",
            "",
            "```yaml",
            text,
            "```",
        ]
    return "\n".join(lines)


def people(root: Path) -> str:
    """Whom to ask about what, as far as documents and git say."""
    path = root / "docs" / "scoping.md"
    scope = meta.get_data(path.read_text(encoding="utf-8"))[1] if path.is_file() else {}
    problem, resources = mapping(scope.get("problem")), mapping(scope.get("resources"))
    rows = [
        ("what the project is for, and what counts", cell(problem.get("owner", "TODO"))),
        ("who works on it", cell(resources.get("people", "TODO"))),
        ("the data", "[data](data.md#distribution-and-maintenance)"),
        ("the labels", "[labels](labeling.md)"),
        ("the model", "[model card](model_card.md#model-details)"),
    ]
    lines = ["# Who to ask", "", *table(["about", "ask"], rows, raw=True), ""]
    lines += ["## Signed off by", "", *approvals(scope), ""]
    log = git(root, "shortlog", "--summary", "--numbered", "HEAD")
    lines += ["## Commits by", ""]
    counts = [line.strip().split("\t") for line in log.splitlines()]
    lines += table(["who", "commits"], [(name, count) for count, name in counts])
    last = git(root, "log", "-1", "--format=%h of %cs")
    return "\n".join([*lines, "", f"This site was built from commit {last}." if last else ""])


def approvals(scope: dict[str, Any]) -> list[str]:
    given = entries(scope.get("approvals"))
    rows = [(each.get("name"), each.get("role"), each.get("date")) for each in given]
    return table(["name", "role", "date"], rows) if rows else ["Nobody has yet."]


def below_title(markdown: str, text: str) -> str:
    """Insert text after the first heading."""
    title, end, rest = markdown.lstrip().partition("\n")
    return f"{title}\n\n{text}\n{rest}" if title.startswith("# ") else f"{text}\n{title}{end}{rest}"


def answers(value: Any, indent: str = "") -> list[str]:
    """An answer as a list: keys in bold, what is below them indented."""
    if isinstance(value, dict):
        entries = [(f"**{str(key).replace('_', ' ')}**: ", each) for key, each in value.items()]
    elif isinstance(value, list):
        entries = [("", each) for each in value]
    else:
        return [f"{indent}{cell(value)}"]
    lines = []
    for key, each in entries:
        if isinstance(each, dict | list):
            lines += [f"{indent}- {key}", *answers(each, f"{indent}    ")]
        else:
            lines.append(f"{indent}- {key}{cell(each)}")
    return lines


def mapping(value: Any) -> dict[str, Any]:
    """A section; an empty one while a placeholder stands in its place."""
    return value if isinstance(value, dict) else {}


def entries(value: Any) -> list[dict[str, Any]]:
    """The entries of a list; none while a placeholder stands in its place."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def bound(target: dict[str, Any]) -> str:
    """`at least 0.8`, as it is promised."""
    limits = [
        f"{key.replace('_', ' ')} {cell(target[key])}"
        for key in ("at_least", "at_most")
        if key in target
    ]
    return " and ".join(limits) + (" (only suggested)" if target.get("suggested") else "")


def spread(found: dict[str, Any]) -> str:
    """A value with its interval."""
    if found.get("value") is None:
        return "not measured"
    if found.get("low") is None or found.get("high") is None:
        return cell(found["value"])
    return f"{cell(found['value'])} ({cell(found['low'])} to {cell(found['high'])})"


def table(head: list[str], rows: Iterable[Iterable[Any]], *, raw: bool = False) -> list[str]:
    """A table of Markdown; what `raw` cells hold is Markdown already."""
    shown = [
        [str(each) if raw and each is not None else cell(each) for each in row] for row in rows
    ]
    lines = [head, ["---"] * len(head), *shown]
    return [f"| {' | '.join(line)} |" for line in lines] if shown else ["None."]


def cell(value: Any) -> str:
    """A value as people read it, on one line and safe in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    text = " ".join(str(value).split())
    if text.partition(" ")[0] in ("TODO", "TBD"):
        return NOT_YET
    return html.escape(text, quote=False).replace("|", "\\|")


def code(text: Any) -> str:
    return f"`{text}`"


def read(root: Path, report: str) -> dict[str, Any]:
    """A report of the pipeline; empty until its stage has run."""
    path = root / "reports" / f"{report}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def git(root: Path, *words: str) -> str:
    """What git says; nothing outside a repository, before the first commit or without git."""
    try:
        return subprocess.run(
            ["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
