"""The page at /docs: the model's fields, a request to copy, a form that sends it; nothing from outside."""

from __future__ import annotations

import html as markup
import json
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
pre, textarea { font: 14px/1.4 ui-monospace, monospace; background: #8881; padding: .8rem }
pre { overflow-x: auto; white-space: pre-wrap }
textarea { width: 100%; box-sizing: border-box; border: 1px solid #8886 }
input, button { font: inherit; padding: .3rem .6rem }
"""
_SCRIPT = """
const form = document.querySelector("form"), answer = document.querySelector("#answer");
document.querySelector("#origin").textContent = location.origin;
form.addEventListener("submit", async event => {
  event.preventDefault();
  const headers = {"Content-Type": "application/json"};
  if (form.entity.value) headers["X-Entity-Id"] = form.entity.value;
  if (form.token && form.token.value) headers["Authorization"] = "Bearer " + form.token.value;
  answer.textContent = "…";
  try {
    const response = await fetch("/predict", {method: "POST", headers, body: form.body.value});
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch (error) { /* shown as it came */ }
    answer.textContent = response.status + " " + response.statusText + "\\n" + shown;
  } catch (error) { answer.textContent = String(error); }
});
"""


def html(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document of ours."""
    row = document["components"]["schemas"]["Row"]
    info = document["info"]
    has_token = "security" in document
    example = json.dumps(row.get("example", {}), indent=2, ensure_ascii=False)
    name = markup.escape(info["title"])
    token = "<label>Token <input name=token type=password autocomplete=off></label> " if has_token else ""
    curl_token = ' \\\n  -H "Authorization: Bearer $MLPROJ_TOKEN"' if has_token else ""
    quoted = markup.escape(json.dumps(row.get("example", {}), ensure_ascii=False).replace("'", "'\\''"))
    fields = "".join(_field(*entry) for entry in row.get("properties", {}).items())
    paths = "".join(
        f"<tr><td><code>{method.upper()} {markup.escape(path)}</code><td>{markup.escape(said['summary'])}"
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    )
    return f"""<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{name}</title><style>{_STYLE}</style>
<h1>{name} <small>version {markup.escape(info["version"])}</small></h1>
<p>{markup.escape(info["description"]).replace("`", "")} <a href="/openapi.json">OpenAPI document</a></p>
<h2>Ask</h2>
<pre>curl <span id=origin></span>/predict{curl_token} \\
  -H 'Content-Type: application/json' -d '{quoted}'</pre>
<form><textarea name=body rows=12 spellcheck=false aria-label="request">{markup.escape(example)}</textarea>
<p><label>Entity <input name=entity></label> {token}<button>Send</button></p></form>
<pre id=answer aria-live=polite>The answer appears here. It is a real prediction, and is logged.</pre>
<h2>Fields</h2>
<table><tr><th>Field<th>Type<th>{fields}</table>
<h2>Paths</h2>
<table><tr><th>Path<th>What it does{paths}</table>
<script>{_SCRIPT}</script></html>
"""


def _field(name: str, schema: dict[str, Any]) -> str:
    kinds = schema.get("type", "")
    kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
    remark = markup.escape(schema.get("description", "")).replace("`", "")
    return f"<tr><td><code>{markup.escape(name)}</code><td>{kind}<td>{remark}"
