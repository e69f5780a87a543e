"""The docs name what there is: commands, options, files, links."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from tests.docs.markdown import PAGES, anchors, blocks, code_spans, links
from tests.support import REPOSITORY

# Made by commands, so neither here nor in the template.
_MADE = ("docs/decisions", "site/")

every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])


def command_line(text: str) -> list[str] | None:
    """The words after `mlproj` in a line of shell that begins with it."""
    if text != "mlproj" and not text.startswith("mlproj "):
        return None
    words = shlex.split(text.partition(" | ")[0], comments=True)[1:]
    return words[: words.index(">")] if ">" in words else words


@cache
def known_commands() -> dict[tuple[str, ...], Any]:
    return dict(generate.walk())


def complaint(words: list[str]) -> str | None:
    """What the program does not know in the words after `mlproj`; None if it knows them all."""
    known = known_commands()
    groups = {path[:1] for path in known if len(path) > 1}
    given = [word for word in words if not word.startswith("-")]
    if not given:
        return None
    path = next((path for path in (tuple(given[:2]), tuple(given[:1])) if path in known), None)
    if path is None:
        is_placeholder = given[0].isupper()
        return None if is_placeholder or tuple(given[:1]) in groups else f"no command `{' '.join(given[:2])}`"
    options = {name for param in known[path].params for name in (*param.opts, *param.secondary_opts)}
    wrong = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    return f"`{' '.join(path)}` has no {wrong}" if wrong else None


@every_page
def test_every_command_line_shown_is_one_that_mlproj_knows(page: Path) -> None:
    shown = [line for block in blocks(page) for line in block.commands]
    shown += [span for span in code_spans(page) if span.startswith("mlproj ")]
    found = [complaint(words) for line in shown if (words := command_line(line))]
    assert [each for each in found if each] == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert complaint(["undeploy", "--now"]) == "no command `undeploy`"
    assert complaint(["check", "modeling", "--quietly"]) == "`check` has no ['--quietly']"
    assert complaint(["data", "add", "FILE", "--target", "COLUMN"]) is None


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@every_page
def test_every_file_named_is_in_the_repository_or_in_the_template(page: Path) -> None:
    template = REPOSITORY / "template" / "project"
    lost = []
    for span in code_spans(page):
        if not span.startswith(("docs/", "mlproj/", "hooks/", "tests/", "template/")) or "*" in span:
            continue
        name = span.rstrip("/")
        if " " in name or name.startswith(_MADE) or name.startswith("mlproj/run/"):
            continue
        places = (REPOSITORY / name, template / name, template / f"{name}.jinja")
        if not any(place.exists() for place in places):
            lost.append(span)
    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if "://" not in link and target in PAGES:
                waiting.append(target)
    demo = REPOSITORY / "docs" / "demo"
    assert [page for page in PAGES if page not in reached and demo not in page.parents] == []


def test_pictures_are_small_and_used() -> None:
    used = {(page.parent / link).resolve() for page in PAGES for link in links(page) if "://" not in link}
    pictures = sorted((REPOSITORY / "docs" / "images").iterdir())
    assert [picture for picture in pictures if picture not in used] == []
    assert all(picture.stat().st_size < 100_000 for picture in pictures)
