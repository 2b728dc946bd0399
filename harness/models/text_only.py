"""A language model's tokenizer where a processor is expected: for judges, which are asked with text only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class TextProcessor:
    """Writes and encodes chats of text; a chat with an image is a ValueError."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.chat_template = tokenizer.chat_template

    def to_dict(self) -> dict[str, Any]:
        """What decides the prompts beside the tokenizer and the template: nothing."""
        return {}

    def apply_chat_template(self, chat: Sequence[Mapping[str, Any]], **options: Any) -> str:
        """The prompt; the templates of language models expect a turn's content as one text."""
        turns = [{"role": turn["role"], "content": "".join(map(_text, turn["content"]))} for turn in chat]
        prompt: str = self.tokenizer.apply_chat_template(turns, **options)
        return prompt

    def __call__(self, text: Sequence[str], **options: Any) -> Mapping[str, Any]:
        """input_ids and attention_mask of shape [B, T]."""
        encoded: Mapping[str, Any] = self.tokenizer(text, return_token_type_ids=False, **options)
        return encoded


def _text(part: Mapping[str, str]) -> str:
    if part["type"] != "text":
        raise ValueError("a language model is shown no images")
    return part["text"]
