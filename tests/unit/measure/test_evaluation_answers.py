"""What a model says is held against its task before anything is computed of it, whatever the model is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lamslsa.errors import FormatError
from lamslsa.measure import Context
from lamslsa.measure.data.schema import Task
from lamslsa.measure.evaluation import asked
from lamslsa.measure.evaluation.asked import Replies, answer, probabilities, refuse_answers, refuse_labels
from lamslsa.measure.evaluation.groupings import all_cells, number_groups
from lamslsa.measure.models.examples import Examples
from lamslsa.measure.models.loading import LoadedModel


class Description:
    """What ``model.json`` of a model would say."""

    architecture, label, inputs = "stub/1", "y", None

    def __init__(self, task: Task) -> None:
        self.task = task


def stub(task: Task, said: Any) -> LoadedModel:
    """A model that says the same whatever it is shown."""
    description: Any = Description(task)
    return LoadedModel(description=description, network=None, answer=lambda _: np.array(said, np.float32))


def replies(monkeypatch: pytest.MonkeyPatch, task: Task, labels: Any, said: Any) -> Replies:
    """An evaluation of a stub over images, or whatever else has inputs and labels."""
    model: Any = type("Given", (), {"artifact": None})()
    examples = Examples(inputs=np.zeros((len(labels), 1, 2, 2), np.float32), labels=np.array(labels), columns={})
    monkeypatch.setattr(asked, "load_model", lambda *_, **__: stub(task, said))
    monkeypatch.setattr(asked, "read_examples", lambda *_, **__: examples)
    unused: Any = None
    return answer(model, model, unused, (), Context())


def test_two_classes_become_two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probabilities(replies(monkeypatch, Task(classes=2), [0, 1], [0.25, 1.0]))
    assert found.dtype == np.float64
    assert found.tolist() == [[0.75, 0.25], [0.0, 1.0]]


def test_more_classes_are_as_the_model_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [[0.5, 0.25, 0.25], [0.0, 0.99995, 0.0]]
    found = replies(monkeypatch, Task(classes=3), [0, 2], said)
    assert probabilities(found).tolist() == np.array(said, np.float32).astype(float).tolist()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (2, [0.5, 1.1]),
        (2, [-1e-6, 0.5]),
        (2, [[0.5, 0.5], [0.5, 0.5]]),
        (3, [0.5, 0.5]),
        (3, [[0.5, 0.5], [0.5, 0.5]]),
        (3, [[0.5, 0.5, 0.5], [1, 0, 0]]),
        (3, [[1.5, -0.25, -0.25], [1, 0, 0]]),
        (3, [[3.0, 2.0, 1.0], [1, 0, 0]]),
        (None, [[1.0, 2.0], [3.0, 4.0]]),
        (2, [0.5]),
    ],
)
def test_other_answers_are_refused(monkeypatch: pytest.MonkeyPatch, classes: int | None, said: Any) -> None:
    with pytest.raises(FormatError) as caught:
        replies(monkeypatch, Task(classes=classes), [0, 1], said)
    assert caught.value.reason == "evaluation-answers"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_answers_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    with pytest.raises(FormatError) as caught:
        replies(monkeypatch, Task(classes=2), [0, 1], [0.5, value])
    assert caught.value.reason == "evaluation-not-finite"


@pytest.mark.parametrize(
    ("classes", "labels", "got"),
    [
        (2, [0, 2], "got 2 in row 2"),
        (2, [-1, 0], "got -1 in row 1"),
        (3, [0, 3], "got 3 in row 2"),
        (2, [0.0, 1.0], "got 0.0 in row 1"),
        (None, [1.0, math.nan], "got nan in row 2"),
        (None, [math.inf, 1.0], "got inf in row 1"),
    ],
)
def test_other_labels_are_refused(classes: int | None, labels: Any, got: str) -> None:
    with pytest.raises(FormatError) as caught:
        refuse_labels(np.array(labels), Task(classes=classes))
    assert caught.value.reason == "evaluation-label-value"
    assert str(caught.value).endswith(got)


@pytest.mark.parametrize("classes", [2, None])
def test_no_rows_are_refused(classes: int | None) -> None:
    with pytest.raises(FormatError) as caught:
        refuse_labels(np.zeros(0, np.int64), Task(classes=classes))
    assert caught.value.reason == "evaluation-no-rows"


def test_any_number_is_an_answer_of_numbers() -> None:
    refuse_answers(np.array([-5.0, 1e30], np.float32), 2, Task(classes=None))


def test_groups_are_named_by_text_and_do_not_run_together() -> None:
    values = {"a": ["x, y", "x", "x"], "b": ["z", "y, z", "Ünï\U0001f600"]}
    grouping = number_groups(("a", "b"), values)
    assert grouping.names == [("x", "y, z"), ("x", "Ünï\U0001f600"), ("x, y", "z")]
    assert grouping.codes.tolist() == [2, 0, 1]
    cells = all_cells(grouping)
    assert len(cells) == 2 * 3
    assert [number for _, number in cells if number is not None] == [0, 1, 2]
    assert ({"a": "x, y", "b": "y, z"}, None) in cells


def test_too_many_groups_are_refused() -> None:
    values = {"a": [str(number) for number in range(40)], "b": [str(number) for number in range(40)]}
    grouping = number_groups(("a", "b"), values)
    for attempt in (lambda: number_groups(("a",), values, limit=39), lambda: all_cells(grouping)):
        with pytest.raises(FormatError) as caught:
            attempt()
        assert caught.value.reason == "evaluation-groups"
