"""Transform ``preprocess/1``: declared steps on verified rows, dataset in, datasets out.

    transforms:
      prepare:
        transform: preprocess/1
        dataset: adult
        steps:
          - {step: dropDuplicates, columns: all}
          - {step: split, into: {train: 80, test: 20}, seed: 7, together: [], stratify: [income]}
          - {step: impute, columns: [age], with: median, learnedFrom: train}
        nullToken: "?"
        label: {column: income, classes: {"<=50K": 0, ">50K": 1}}
        outputs: {train: adult-train, test: adult-test}

Rules:
- Steps are a fixed list of operations with typed fields (`columns`, `rows`, `values`, `learned`, `join`, `split`);
  there is no expression to evaluate. Names and types are resolved when the job is read, so a mistake has its line.
- The label is a text like others until it is written: steps see what stands in the file. What an output's label is,
  is declared.
- Each output has a statement of its own, with every step, how many rows went in and out of it, what was learned and
  from which part, and the schema under which a later job reads the file.
"""

from lamslsa.measure.transform.preprocess.plan import NAME, Preprocessing, declare

__all__ = ["NAME", "Preprocessing", "declare"]
