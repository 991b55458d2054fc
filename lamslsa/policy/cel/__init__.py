"""Expressions of policies, in the Common Expression Language (CEL): what is for no declarative rule.

What an expression sees, and how its result counts, is in policies/expressions.md.
"""

from lamslsa.policy.cel.compile import Compiled, Fault, Remark, compile_expression, faults, remarks

__all__ = ["Compiled", "Fault", "Remark", "compile_expression", "faults", "remarks"]
