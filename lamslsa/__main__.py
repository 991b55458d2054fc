"""``python -m lamslsa``."""

import sys

from lamslsa._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
