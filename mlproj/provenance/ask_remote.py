"""Which objects a DVC remote has. Runs with the project's interpreter, which may know nothing of mlproj.

Takes one JSON object on stdin, {"remote": name, "digests": [...]}, and answers with a list of digests on
stdout: those that are there, and of folders the files in them that are there too.
"""

import json
import os
import sys

os.environ.setdefault("DVC_NO_ANALYTICS", "true")

from dvc.repo import Repo  # type: ignore[import-untyped]


def main() -> None:
    asked = json.load(sys.stdin)
    with Repo() as repo:
        store = repo.cloud.get_remote_odb(asked["remote"], "ask", hash_name="md5")
        here = set(store.oids_exist(asked["digests"]))
        inside = {
            entry["md5"]
            for oid in here
            if oid.endswith(".dir")
            for entry in json.loads(store.fs.cat_file(store.oid_to_path(oid)))
        }
        json.dump(sorted(here | set(store.oids_exist(sorted(inside)))), sys.stdout)


if __name__ == "__main__":
    main()
