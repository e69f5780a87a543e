"""The demo's script, run to its end with nothing installed but what a slim machine has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.support import REPOSITORY

# With sh, git, python3 and mlproj itself, all that it may call: coreutils and sed are everywhere.
SMALL = ("cat", "cp", "dirname", "mkdir", "mktemp", "mv", "rm", "sed", "tail")
MLPROJ = """\
#!/bin/sh
case "$*" in
"new "*) mkdir -p "$2/docs" "$2/models/package" && : >"$2/params.yaml"
    echo '{"example": {"name": "it'"'"'s"}}' >"$2/models/package/package.json" ;;
"stage modeling") [ -e met ] || { : >met && exit 1; } ;;
"deployments --json") echo '{"processes": {"url": "%s"}}' ;;
esac
"""
# Customers need a gateway; what is asked with `-c` is really asked.
PYTHON = '#!/bin/sh\n[ "$1" != -c ] || exec "%s" "$@"\n'


class Gateway(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"answered: " + body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_demo_needs_no_program_but_git_python_and_the_smallest(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in SMALL:
        (programs / name).symlink_to(str(shutil.which(name)))
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        stand_ins = {
            "mlproj": MLPROJ % url,
            "python3": PYTHON % sys.executable,
            "git": "#!/bin/sh\n",
            "sleep": "#!/bin/sh\n",
        }
        for name, text in stand_ins.items():
            (programs / name).write_text(text, encoding="utf-8")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", str(REPOSITORY / "docs" / "demo" / "run.sh"), str(tmp_path / "demo")],
            env={"PATH": str(programs), "TMPDIR": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    body = '{"name": "it\'s"}'
    assert f"$ curl {url}/predict -d '{body}'\nanswered: {body}\n" in done.stdout, "curl is shown, not needed"
    assert done.stdout.endswith("mlproj serve --stop\n")
