"""The imports that a Python file writes, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def read(root: Path, path: str) -> list[str]:
    """Dotted names as written, after an empty one if the file holds more than a docstring.

    Of what is not Python only the empty one: running it will say what is wrong with it.
    """
    try:
        tree = ast.parse((root / path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return [""]
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    names = dict.fromkeys(_imports(tree, PurePosixPath(path)))
    return [*([""] if body else []), *names]


def _imports(tree: ast.Module, path: PurePosixPath) -> Iterator[str]:
    """Dotted names, those inside functions too, but not those that only a type checker reads."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_for_types(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(path.parts[: len(path.parts) - node.level]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            yield module
            # What is imported from a package may be a module of it.
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
