"""A small table and a job for it, for tests that measure, train and evaluate in a second.

>>> len(ROWS.splitlines())
64
"""

from __future__ import annotations

from typing import Final

__all__ = ["JOB", "ROWS"]

ROWS: Final = "".join(f"{20 + i % 40}, {'F' if i % 2 else 'M'}, {'high' if i % 3 else 'low'}\n" for i in range(64))
JOB: Final = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  people:
    format: csv
    delimiter: ","
    header: false
    trim: true
    nullToken: "?"
    columns: [{name: age, type: integer}, {name: sex, type: string}, {name: income, type: string}]
    label: {column: income, classes: {low: 0, high: 1}}
datasets:
  train: {schema: people, skipLines: 0, groups: [[sex]], overlap: []}
training: {trainer: tabular-mlp/1, model: people-mlp, dataset: train, hidden: [4], epochs: 1, batchSize: 8,
           optimizer: adam, learningRate: 1e-3, weightDecay: 0, seed: 1, drop: []}
evaluation: {measurer: tabular-evaluation/1, dataset: train, rows: all, threshold: 0.5, confidenceLevel: 0.95,
             resamples: 50, calibrationBins: 5, groups: [[sex]], slices: [[sex]]}
"""
