"""``lamslsa evidence``: the commands that look at evidence."""

from lamslsa._cli.inspect import evidence_command as command

__all__ = ["command"]
