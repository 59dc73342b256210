"""`python -m lstmapps`: the command line, where the script `lstmapps` is not on the path."""

import sys

from lstmapps.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
