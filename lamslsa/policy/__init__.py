"""The policy: what a model may be made of, who may say so, from which TEE, and which properties must hold."""

from lamslsa.policy._files import read_file
from lamslsa.policy.appraisal import Appraisal, Outcome, RuleKind, RuleResult
from lamslsa.policy.engine import appraise
from lamslsa.policy.load import load_policy
from lamslsa.policy.model import Policy

__all__ = ["Appraisal", "Outcome", "Policy", "RuleKind", "RuleResult", "appraise", "load_policy", "read_file"]
