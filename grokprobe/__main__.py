"""`python -m grokprobe`: the command `grokprobe` where no command is installed."""

import sys

from grokprobe.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
