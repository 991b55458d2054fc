"""Measurers: code that computes properties of datasets, trainings and models from verified bytes."""

from lamslsa.measure.dataset.tabular import measure_dataset
from lamslsa.measure.evaluation.tabular import measure_evaluation
from lamslsa.measure.interface import Progress
from lamslsa.measure.job import Job, load_job
from lamslsa.measure.training.own import OwnTraining, load_own_training, measure_own_training
from lamslsa.measure.training.tabular import Trained, measure_training

__all__ = [
    "Job",
    "OwnTraining",
    "Progress",
    "Trained",
    "load_job",
    "load_own_training",
    "measure_dataset",
    "measure_evaluation",
    "measure_own_training",
    "measure_training",
]
