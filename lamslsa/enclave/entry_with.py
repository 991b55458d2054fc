"""What starts in the build *measure-with*: measurers of a third party, part of the process and of its measurement.

As `lamslsa.enclave.entry`: no argument and no variable decides anything. The measurers are those of the only
distribution among the trusted files that has any.
"""

import sys
from pathlib import Path

__all__: list[str] = []

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from lamslsa.enclave.inside import MEASURE_WITH, main

    sys.exit(main(Path("/"), MEASURE_WITH))
