#!/usr/bin/env python3
"""Refuse credentials: they stay readable in git for ever, wherever it is pushed to.

    credentials.py FILE...

Refused are `.env` files, keys that are known by their form (AWS, GitHub, Google, Slack and so on), private
keys, and, in settings and notebooks, a random-looking value for a name such as `password` or `api_key`. What is
none can be let through with `pragma: allowlist secret` on its line. The value itself is never printed.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ALLOWED = ("pragma: allowlist secret", "gitleaks:allow")
ENV_EXAMPLES = {".example", ".sample", ".template", ".dist"}

# Each a form that its issuer gave it so that it can be found, or that nothing else has.
KNOWN = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b",
    "a GitLab token": r"\bgl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,}",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "a Slack token": r"\bxox[abposr]-[A-Za-z0-9-]{20,}",
    "a Stripe key": r"\b[rs]k_live_[A-Za-z0-9]{20,}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z]{34}\b",
    "an OpenAI key": r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    "an Anthropic key": r"\bsk-ant-[A-Za-z0-9_-]{40,}",
    "a PyPI token": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a Databricks token": r"\bdapi[0-9a-f]{32}\b",
    "an Azure storage key": r"\bAccountKey=[A-Za-z0-9+/]{86}==",
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>{}$]+:(?P<password>[^\s/:@\"'<>{}$*]{6,})@"
    r"(?!localhost|127\.|example\.)[A-Za-z0-9]",
}
# One of these is in every match: most lines have none, and the pattern is slow.
HINTS = (
    *("AKIA", "ASIA", "gh", "gl", "AIza", "xox", "k_live_", "hf_", "T3BlbkFJ", "sk-ant-", "pypi-"),
    *("npm_", "dapi", "AccountKey=", "PRIVATE KEY", "://"),
)
FORM = re.compile(
    "|".join(f"(?P<k{number}>{pattern})" for number, pattern in enumerate(KNOWN.values()))
)

SETTINGS = {
    ".yaml",
    ".yml",
    ".toml",
    ".json",
    ".ini",
    ".cfg",
    ".conf",
    ".env",
    ".properties",
    ".ipynb",
}
SETTINGS_NAMES = {"config", "config.local"}  # DVC's
NAME = (
    r"(?:[\w.-]*[_.-])?"
    r"(?:password|passwd|secret|token|api_?key|(?:access|account|auth|private|secret)_?key)"
)
ASSIGNED = re.compile(
    rf"""(?i)(?<![\w.-])["']?(?P<name>{NAME})["']?\s*[:=]\s*(?P<quote>["'])?(?P<value>[^\s"'#,}}]+)"""
)
# What stands for a value that is somewhere else, or for none.
ELSEWHERE = re.compile(
    r"(?i)^[$%<{\[(*]|^(?:env|vault|secret|ssm|op|file|https?):|environ|getenv|change|example|placeholder"
    r"|your|dummy|redacted|secrets?\.|xxx|\.\.\.|^(?:none|null|true|false|todo|tbd)$|[/\\].*\.\w{2,8}$"
)
LONGEST_LINE = 20_000  # pictures in notebooks


def main(argv: Sequence[str] | None = None) -> int:
    found = False
    for name in sys.argv[1:] if argv is None else argv:
        path = Path(name)
        if not path.is_file():
            continue
        if path.name == ".env" or (
            path.name.startswith(".env.") and not ENV_EXAMPLES & {*path.suffixes}
        ):
            found = True
            print(
                f"{path}:1: `.env` files hold credentials: take it out with `git rm --cached '{path}'`, "
                "and name it in .gitignore"
            )
            continue
        for line, what in credentials(path):
            found = True
            print(
                f"{path}:{line}: {what}: read it from the environment (.env), and revoke it "
                f"if it was pushed; if it is none, write `{ALLOWED[0]}` on its line"
            )
    return int(found)


def credentials(path: Path) -> Iterator[tuple[int, str]]:
    is_settings = path.suffix in SETTINGS or (
        path.parent.name == ".dvc" and path.name in SETTINGS_NAMES
    )
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if len(line) > LONGEST_LINE or any(mark in line for mark in ALLOWED):
                continue
            known = FORM.search(line) if any(hint in line for hint in HINTS) else None
            if known is not None and not is_placeholder(known):
                yield number, [*KNOWN][int(str(known.lastgroup).removeprefix("k"))]
            elif is_settings:
                # A notebook's lines are texts in JSON.
                text = line.replace('\\"', '"') if path.suffix == ".ipynb" else line
                for said in ASSIGNED.finditer(text):
                    if is_random(said["name"], said["value"]):
                        yield number, f"`{said['name']}` looks like a credential"
                        break


def is_placeholder(known: re.Match[str]) -> bool:
    said = known["password"] or ""
    return bool(said) and (bool(ELSEWHERE.search(said)) or said.lower() in ("password", "secret"))


def is_random(name: str, value: str) -> bool:
    """Whether the value is like one that a program drew, or a password of letters, digits and signs."""
    value = value.rstrip(";\\")
    if ELSEWHERE.search(value) or "(" in value:
        return False
    kinds = sum(
        bool(re.search(pattern, value)) for pattern in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]")
    )
    is_password = name.lower().endswith(("password", "passwd"))
    if is_password:
        return len(value) >= 8 and kinds >= 3
    return (
        len(value) >= 20
        and bool(re.search("[0-9]", value))
        and kinds >= 2
        and entropy(value) >= 3.3
    )


def entropy(text: str) -> float:
    """Shannon's, in bits a character: 4 for hexadecimal digits drawn at random, up to 6 for base64."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


if __name__ == "__main__":
    sys.exit(main())
