"""What starts in the build *measure*: ``python -I -S -B entry.py``. No argument and no variable decides anything.

The interpreter starts with its standard library alone; the packages are those that lie beside this one.
"""

import sys
from pathlib import Path

__all__: list[str] = []

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from lamslsa.enclave.inside import main

    sys.exit(main(Path("/")))
