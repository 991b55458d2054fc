"""The architecture ``text-lstm/1``: embedding, LSTM, linear (Hochreiter and Schmidhuber 1997).

    {"architecture": "text-lstm/1", "textColumn": "text", "tokens": "casefold-words", "vocabulary": ["the", …],
     "length": 32, "embedding": 16, "hidden": 16, "layers": 1, "bidirectional": false, "dropout": 0, "answer": {…},
     "label": "sentiment"}

The LSTM reads the words that are there and no padding (of an empty text one padding); its last state, of both
directions if there are two, is what the linear layer sees, after dropout. Tensors: ``embedding.weight``,
``lstm.weight_ih_l0`` … as torch names them, ``linear.weight``, ``linear.bias``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from lamslsa.errors import FormatError
from lamslsa.measure.data.schema import Task
from lamslsa.measure.models.convolution import Dropout
from lamslsa.measure.models.interface import Answer, Inputs, Name, Number, Shapes, TextInputs, refuse_parameters
from lamslsa.measure.models.layers import rescale
from lamslsa.measure.models.words import MAX_WORD

if TYPE_CHECKING:
    import torch

__all__ = ["ARCHITECTURE", "MAX_LENGTH", "MAX_WORDS", "Description"]

ARCHITECTURE: Final = "text-lstm/1"
MAX_WORDS: Final = 2**20
MAX_LENGTH: Final = 65_536

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_WORD)]
_Width = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What ``model.json`` says."""

    architecture: Literal["text-lstm/1"]
    text_column: Name
    tokens: Literal["casefold-words"]
    vocabulary: Annotated[tuple[_Word, ...], msgspec.Meta(max_length=MAX_WORDS)]
    length: Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)]
    embedding: _Width
    hidden: _Width
    layers: Annotated[int, msgspec.Meta(ge=1, le=8)]
    bidirectional: bool
    dropout: Dropout
    answer: Answer
    label: Name

    @property
    def task(self) -> Task:
        """What the model says about a text."""
        return self.answer.task

    @property
    def inputs(self) -> Inputs:
        """A column of texts."""
        return TextInputs(column=self.text_column, vocabulary=self.vocabulary, length=self.length)

    def refuse(self) -> None:
        """Return if the fields agree and the network is small enough; see `lamslsa.measure.models.interface`."""
        if self.text_column == self.label or len(set(self.vocabulary)) != len(self.vocabulary):
            raise FormatError(
                "expected each word once and a label that is not the text, got others", reason="model-description"
            )
        refuse_parameters(self.shapes())

    def shapes(self) -> Shapes:
        """Name and shape of every tensor that the weights must hold, and no other."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        expected: Shapes = {"embedding.weight": (len(self.vocabulary) + 2, self.embedding)}
        for layer in range(self.layers):
            below = self.embedding if layer == 0 else self.hidden * len(directions)
            for direction in directions:
                expected |= {
                    f"lstm.weight_ih_l{layer}{direction}": (4 * self.hidden, below),
                    f"lstm.weight_hh_l{layer}{direction}": (4 * self.hidden, self.hidden),
                    f"lstm.bias_ih_l{layer}{direction}": (4 * self.hidden,),
                    f"lstm.bias_hh_l{layer}{direction}": (4 * self.hidden,),
                }
        expected["linear.weight"] = (self.answer.outputs, self.hidden * len(directions))
        expected["linear.bias"] = (self.answer.outputs,)
        return expected

    def network(self) -> torch.nn.Module:
        """The network with fresh weights, drawn from torch's global generator."""
        import torch

        outer = self

        class Reader(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = torch.nn.Embedding(len(outer.vocabulary) + 2, outer.embedding, padding_idx=0)
                self.lstm = torch.nn.LSTM(
                    outer.embedding,
                    outer.hidden,
                    num_layers=outer.layers,
                    bidirectional=outer.bidirectional,
                    batch_first=True,
                )
                self.dropout = torch.nn.Dropout(outer.dropout)
                self.linear = torch.nn.Linear(outer.hidden * (1 + outer.bidirectional), outer.answer.outputs)
                self.scale = rescale(outer.answer) if isinstance(outer.answer, Number) else torch.nn.Identity()

            def forward(self, numbers: torch.Tensor) -> torch.Tensor:
                lengths = (numbers != 0).sum(dim=1).clamp(min=1).cpu()
                packed = torch.nn.utils.rnn.pack_padded_sequence(
                    self.embedding(numbers), lengths, batch_first=True, enforce_sorted=False
                )
                _, (last, _) = self.lstm(packed)
                # the last layer's state: one direction, or forwards and backwards
                state = torch.cat((last[-2], last[-1]), dim=1) if outer.bidirectional else last[-1]
                answer: torch.Tensor = self.scale(self.linear(self.dropout(state)))
                return answer

        return Reader()
