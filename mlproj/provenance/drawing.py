"""A graph as a picture: layers from left to right in the order of time, drawn as SVG without help.

Layers by the longest way, order within them by the mean of the neighbours (Sugiyama, Tagawa and Toda 1981,
"Methods for visual understanding of hierarchical system structures").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from mlproj.provenance.graph import Arrow, Graph, Kind, Node
from mlproj.provenance.things import Kept

_WIDTH, _HEIGHT = 196, 58
_ACROSS, _DOWN = 52, 20
_MARGIN, _HEAD = 28, 64
_SWEEPS = 8
_BEND = "\0bend/"
_LATE = (Kind.CODE, Kind.ENVIRONMENT, Kind.TARGETS, Kind.PERSON)
# Letters of a wide sans-serif take this share of its size; a text that might not fit is cut.
_LETTER = 0.6
_COLOURS = {
    Kind.DATA: ("#e8f1fb", "#3b6ea5"),
    Kind.CODE: ("#f1ecf9", "#6b4fa0"),
    Kind.ENVIRONMENT: ("#f1ecf9", "#6b4fa0"),
    Kind.TARGETS: ("#fdf3e1", "#b07a1e"),
    Kind.STAGE: ("#ffffff", "#555555"),
    Kind.VERSION: ("#e7f5ec", "#2f7d4f"),
    Kind.DEPLOYMENT: ("#ffffff", "#2f7d4f"),
    Kind.PREDICTION: ("#d9efe1", "#1e5c38"),
    Kind.FEEDBACK: ("#fdf3e1", "#b07a1e"),
    Kind.DECISION: ("#fdf3e1", "#b07a1e"),
    Kind.PERSON: ("#ffffff", "#999999"),
}
_LOST = "#c0392b"


@dataclass(frozen=True)
class _Place:
    layer: int
    row: float


@dataclass(frozen=True)
class _Way:
    """An arrow with the bends that it makes to pass between the boxes of the layers it crosses."""

    arrow: Arrow
    stops: tuple[str, ...]


def svg(graph: Graph, *, title: str, subtitle: str = "") -> str:
    """The picture as a whole SVG document; readable on white, with a description for who cannot see it."""
    places, ways = _laid_out(graph)
    layers = 1 + max((place.layer for place in places.values()), default=0)
    rows = 1 + max((place.row for place in places.values()), default=0.0)
    width = max(2 * _MARGIN + layers * _WIDTH + (layers - 1) * _ACROSS, 480)
    height = _HEAD + 2 * _MARGIN + rows * _HEIGHT + (rows - 1) * _DOWN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="Helvetica, Arial, sans-serif">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a8a8a"/></marker></defs>',
        f'<text x="{_MARGIN}" y="34" font-size="18" font-weight="600" fill="#222">{escape(title)}</text>',
        f'<text x="{_MARGIN}" y="56" font-size="12" fill="#666">{escape(subtitle)}</text>',
    ]
    parts += [_arrow(way, places) for way in ways]
    parts += [_box(node, places[node.id]) for node in graph.nodes.values()]
    return "\n".join([*parts, "</svg>\n"])


def _laid_out(graph: Graph) -> tuple[dict[str, _Place], list[_Way]]:
    """Where each box stands, and each bend; and the ways of the arrows."""
    layer = _layers(graph)
    ways = []
    for number, arrow in enumerate(graph.arrows):
        between = range(layer[arrow.source] + 1, layer[arrow.target])
        bends = tuple(f"{_BEND}{number}/{crossed}" for crossed in between)
        layer |= dict(zip(bends, between, strict=True))
        ways.append(_Way(arrow=arrow, stops=(arrow.source, *bends, arrow.target)))
    above: dict[str, list[str]] = {name: [] for name in layer}
    below: dict[str, list[str]] = {name: [] for name in layer}
    for way in ways:
        for source, target in pairwise(way.stops):
            above[target].append(source)
            below[source].append(target)
    by_layer: dict[int, list[str]] = {}
    for name, number in layer.items():
        by_layer.setdefault(number, []).append(name)
    row = {name: float(at) for names in by_layer.values() for at, name in enumerate(names)}
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for number in sorted(by_layer, reverse=bool(sweep % 2)):
            names = by_layer[number]
            wanted = {name: _mean(row, neighbours[name], row[name]) for name in names}
            names.sort(key=lambda name: (wanted[name], row[name]))
            row |= _apart(names, wanted)
    least = min(row.values(), default=0.0)
    return {name: _Place(layer=layer[name], row=row[name] - least) for name in layer}, ways


def _layers(graph: Graph) -> dict[str, int]:
    """The longest way to each node. People, code and promises, which need nothing before them, stand as late
    as they can, beside what they were for."""
    layer = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:  # As often as the longest way can be: a circle, which cannot be, would end too.
        moved = False
        for arrow in graph.arrows:
            if layer[arrow.target] <= layer[arrow.source] < len(graph.nodes):
                layer[arrow.target] = layer[arrow.source] + 1
                moved = True
        if not moved:
            break
    late = [node.id for node in graph.nodes.values() if node.kind in _LATE]
    for name in sorted(late, key=lambda name: -layer[name]):
        reached = [layer[arrow.target] for arrow in graph.arrows if arrow.source == name]
        if reached:
            layer[name] = min(reached) - 1
    least = min(layer.values(), default=0)
    return {name: number - least for name, number in layer.items()}


def _mean(row: Mapping[str, float], names: list[str], otherwise: float) -> float:
    return sum(row[name] for name in names) / len(names) if names else otherwise


def _apart(names: list[str], wanted: Mapping[str, float]) -> dict[str, float]:
    """Rows near those wanted, in the same order, no two boxes closer than one; bends need less."""
    placed: dict[str, float] = {}
    before: str | None = None
    for name in names:
        least = placed[before] + (_room(before) + _room(name)) / 2 if before is not None else wanted[name]
        placed[name] = max(least, wanted[name])
        before = name
    # Pushed down by those before, a group is moved back so that its mean is where it wants to be.
    shift = sum(wanted[name] - placed[name] for name in names) / len(names)
    return {name: place + shift for name, place in placed.items()}


def _room(name: str) -> float:
    return 0.4 if name.startswith(_BEND) else 1.0


def _corner(place: _Place) -> tuple[float, float]:
    return (
        _MARGIN + place.layer * (_WIDTH + _ACROSS),
        _HEAD + _MARGIN + place.row * (_HEIGHT + _DOWN),
    )


def _arrow(way: _Way, places: Mapping[str, _Place]) -> str:
    """A curve from box to box, level where it passes through a layer."""
    x, y = _corner(places[way.stops[0]])
    x, y = x + _WIDTH, y + _HEIGHT / 2
    path = f"M{x:.1f} {y:.1f}"
    for stop in way.stops[1:]:
        left, top = _corner(places[stop])
        middle, to = top + _HEIGHT / 2, left - (2 if stop == way.stops[-1] else 0)
        path += f"C{x + _ACROSS / 2:.1f} {y:.1f} {to - _ACROSS / 2:.1f} {middle:.1f} {to:.1f} {middle:.1f}"
        x, y = to, middle
        if stop != way.stops[-1]:
            x = left + _WIDTH
            path += f"H{x:.1f}"
    return (
        f'<path d="{path}" fill="none" stroke="#b3b3b3" stroke-width="1.3" marker-end="url(#to)">'
        f"<title>{escape(str(way.arrow.relation))}</title></path>"
    )


def _box(node: Node, place: _Place) -> str:
    x, y = _corner(place)
    fill, stroke = _COLOURS[node.kind]
    lost = node.kept is not None and not node.kept.is_kept
    radius = 26 if node.kind.is_activity or node.kind is Kind.PERSON else 5
    style = f'fill="{fill}" stroke="{_LOST if lost else stroke}" stroke-width="{2 if lost else 1.2}"'
    dashed = ' stroke-dasharray="5 4"' if lost else ""
    hover = "\n".join([node.title, *(f"{key}: {value}" for key, value in node.facts.items())])
    first, second = _lines(node)
    return (
        f"<g><title>{escape(hover)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}" {style}{dashed}/>'
        + _text(node.title, x, y + (22 if first or second else 33), 12.5, "#222", bold=True)
        + _text(first, x, y + 37, 10.5, "#555")
        + _text(second, x, y + 50, 10.5, _LOST if lost else "#555")
        + "</g>"
    )


def _lines(node: Node) -> tuple[str, str]:
    """Two lines below the title: what it is, and where or when."""
    facts = node.facts
    digest = facts.get("md5") or facts.get("sha256") or facts.get("commit") or ""
    rows = f"{facts['rows']} rows, " if "rows" in facts else ""
    first = {
        Kind.DATA: f"{rows}MD5 {digest[:12]}",
        Kind.CODE: f"commit {digest[:12]}",
        Kind.ENVIRONMENT: f"SHA-256 {digest[:12]}",
        Kind.TARGETS: f"SHA-256 {digest[:12]}",
        Kind.STAGE: facts.get("command", "").removeprefix("python -m "),
        Kind.VERSION: f"package {digest[:12]}" if digest else f"run {facts.get('run', '')[:12]}",
        Kind.DEPLOYMENT: f"{facts.get('state', '')}, by {facts.get('by', '')}",
        Kind.PREDICTION: facts.get("answer", ""),
        Kind.FEEDBACK: f"from {facts.get('source', '')}",
        Kind.DECISION: facts.get("why", ""),
        Kind.PERSON: "",
    }[node.kind]
    where = str(node.kept) if node.kept not in (None, Kept.NOT_ASKED) else ""
    if node.kept is Kept.NOT_ASKED:
        where = "not here; remote not asked"
    return first, where or (node.at or "").replace("T", " ")[:19]


def _text(words: str, x: float, y: float, size: float, colour: str, *, bold: bool = False) -> str:
    if not words:
        return ""
    most = int((_WIDTH - 10) / (_LETTER * size))
    shown = words if len(words) <= most else words[: most - 1] + "…"
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x + _WIDTH / 2:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle"{weight}'
        f" fill={quoteattr(colour)}>{escape(shown)}</text>"
    )
