"""What a policy says that its author may not mean: findings, each with a rule, a place and what to do."""

from lamslsa.policy.lint.check import lint
from lamslsa.policy.lint.finding import RULES, Finding, Severity

__all__ = ["RULES", "Finding", "Severity", "lint"]
