"""What starts in the build *train-own*: one user's training code, measured with the rest, and no other measurement.

As `lamslsa.enclave.entry`: no argument and no variable decides anything.
"""

import sys
from pathlib import Path

__all__: list[str] = []

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from lamslsa.enclave.inside import TRAIN_OWN, main

    sys.exit(main(Path("/"), TRAIN_OWN))
