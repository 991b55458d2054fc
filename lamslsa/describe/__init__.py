"""What a file says, readably: any quote, report, document, endorsement, statement, bundle or run folder.

Rules:
- A description is no verdict. What was verified and what was not is said beside what the bytes say, in so many words.
- Formats are told apart by their bytes, never by a file's name.
- No I/O, clock or environment: bytes, keys, endorsements and times are arguments.
"""

from lamslsa.describe.model import Description, Surroundings
from lamslsa.describe.recognise import describe, describe_evidence

__all__ = ["Description", "Surroundings", "describe", "describe_evidence"]
