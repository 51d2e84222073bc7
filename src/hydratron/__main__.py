"""`python -m hydratron`, where the command is not on the path."""

import sys

if not sys.flags.safe_path:
    # The working folder, which -m puts first: files there may be named as modules are.
    del sys.path[0]

from hydratron.cli import main

if __name__ == "__main__":
    sys.exit(main())
