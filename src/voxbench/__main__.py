"""`python -m voxbench` and the `voxbench` command."""

from __future__ import annotations

import sys

from voxbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
