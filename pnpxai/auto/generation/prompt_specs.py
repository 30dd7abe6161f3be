"""What a user gives for one prompt: a text, a template, a question with sources, a chat."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["Chat", "Content", "Pieces", "PromptSpec", "Sources", "Template"]

Pieces: TypeAlias = list[tuple[str, str | None, str]]
"""Text, the name of its unit (None: none), and what stands for it if it is absent, in order."""


@dataclass(frozen=True)
class Template:
    """A prompt with named places: each place is a unit of the prompt.

    Attributes:
        text: the prompt with ``{name}`` at its places.
        values: what stands there, by name.
        absent: what stands there instead if a unit is removed, by name; nothing by default.
    """

    text: str
    values: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)

    def pieces(self) -> Pieces:
        """Return text, the name of its unit (None: none), and what stands for it if it is absent, in order.

        Raises:
            ArgumentError: a place has no value, or a value no place.
        """
        found: Pieces = []
        for before, name, _, _ in string.Formatter().parse(self.text):
            found += [(before, None, "")] if before else []
            if name is None:
                continue
            if name not in self.values:
                raise ArgumentError(f"values: nothing for the place {name!r}{did_you_mean(name, self.values)}")
            found.append((self.values[name], name, self.absent.get(name, "")))
        missing = set(self.values) - {name for _, name, _ in found}
        if missing:
            raise ArgumentError(f"values: the text has no place {sorted(missing)[0]!r}")
        return found


@dataclass(frozen=True)
class Sources:
    """A question with documents that the answer should rest on: each document is a unit of the prompt.

    Attributes:
        question: what is asked.
        documents: the sources; a mapping gives them names.
        text: the prompt with ``{sources}`` and ``{question}``; each source stands in lines of its own.
    """

    question: str
    documents: Sequence[str] | Mapping[str, str]
    text: str = "Context:\n{sources}\nQuestion: {question}\nAnswer:"

    def pieces(self) -> Pieces:
        """Return text, the name of its unit, and nothing for what is absent, in order."""
        named = self.documents if isinstance(self.documents, Mapping) else dict(
            zip((f"source {k + 1}" for k in range(len(self.documents))), self.documents, strict=True)
        )  # fmt: skip
        found: Pieces = []
        for before, name, _, _ in string.Formatter().parse(self.text):
            found += [(before, None, "")] if before else []
            if name == "sources":
                found += [(document.rstrip("\n") + "\n", source, "") for source, document in named.items()]
            elif name == "question":
                found.append((self.question, None, ""))
            elif name is not None:
                raise ArgumentError(f"text: expected the places {{sources}} and {{question}}, got {{{name}}}")
        return found


Content: TypeAlias = str | Template | Sources
Chat: TypeAlias = Sequence[Mapping[str, object]]
PromptSpec: TypeAlias = Content | Chat
"""What a user gives for one prompt: a text, a ``Template``, ``Sources``, or messages with "role" and "content"."""
