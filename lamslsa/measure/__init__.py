"""Measurers: code that computes properties of datasets, trainings, models and inferences from verified bytes."""

from lamslsa.measure.interface import Context, Given, Input, Outcome, Output, Plan, Progress
from lamslsa.measure.job import Job, load_job
from lamslsa.measure.training.own import OwnTraining, load_own_training

__all__ = [
    "Context",
    "Given",
    "Input",
    "Job",
    "Outcome",
    "Output",
    "OwnTraining",
    "Plan",
    "Progress",
    "load_job",
    "load_own_training",
]
