"""`python -m mlproj`, and where the `mlproj` command starts."""

import sys

from mlproj.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
