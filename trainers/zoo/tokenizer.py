"""One small tokenizer for the whole ladder: byte-level BPE on mini prompts; frequent lines are single tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.mini.scenes.charts import NUMBERS
from tasks.mini.scenes.pairs import ORDINALS
from tasks.mini.scenes.words import ANSWER, WORDS

PAD, USER, ASSISTANT, SYSTEM, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
IMAGE_START, IMAGE, IMAGE_END, VIDEO = "<img>", "<IMG_CONTEXT>", "</img>", "<video>"
SPECIAL = (PAD, END, USER, ASSISTANT, SYSTEM, IMAGE_START, IMAGE, IMAGE_END, VIDEO)

#: Words with the space before them, single digits, single Chinese characters (words would merge into sentences),
#: punctuation, line ends.
_PIECES = r"[\r\n]+| ?[A-Za-z]+| ?\d|[\u4e00-\u9fff]|[^\sA-Za-z\d\u4e00-\u9fff]| +(?=\S)|\s+"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}<|system|>{% elif message['role'] == 'user' %}<|user|>"
    "{% elif message['role'] == 'assistant' %}<|assistant|>"
    "{% else %}{{ raise_exception('unknown role ' + message['role']) }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<IMG_CONTEXT>{% elif part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ raise_exception('unknown content type ' + part['type']) }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def whole_words() -> list[str]:
    """Texts of options and answers that are one token each, so that an option is found by one token.

    The marks of options end before the space: an option's word is then the same token as in a sentence.
    """
    marks = ("\n{}.", "\n({})", " {}:", " ({})", "{}.", "{}:")
    words = [word for word in WORDS if " " in word] + ["about the same", *(f"{word} image" for word in ORDINALS)]
    numbers = ["10", "11", "12", *dict.fromkeys(str(n * step) for step in (0.5, 0.25) for n in NUMBERS)]
    return [
        ANSWER,
        *(mark.format(letter) for mark in marks for letter in "ABCDEFGHIJ"),
        *(f" {w}" for w in words + numbers),
    ]


def phrases(prompts: Mapping[str, Sequence[str]], share: float) -> list[str]:
    """Lines (with the line end before them) that stand in at least `share` of one task's prompts.

    Lines under three words stay with the BPE. Longest first, as the tokenizer must match them.
    """
    found: set[str] = set()
    for texts in prompts.values():
        counts: Counter[str] = Counter()
        for text in texts:
            first, *rest = text.split("\n")
            counts.update({first, *("\n" + line for line in rest)})
        enough = share * len(texts)
        found |= {
            line for line, n in counts.items() if n >= enough and (line.count(" ") >= 2 or len(line.encode()) > 24)
        }
    return sorted(found, key=lambda line: (-len(line), line))


def train_tokenizer(prompts: Mapping[str, Sequence[str]], targets: Iterable[str], vocab_size: int, share: float) -> Any:
    """A `PreTrainedTokenizerFast` with InternVL's image tokens, trained on prompts by task and on targets.

    `vocab_size` bounds the whole vocabulary, special tokens and phrases included.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    lines = [*phrases(prompts, share), *whole_words()]
    chinese = sorted(WORDS.values(), key=len, reverse=True)
    texts = [text for group in prompts.values() for text in group]
    rest = [_without(text, [*lines, *chinese]) for text in texts]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(lines) - len(chinese),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([*rest, *(_without(text, [*SPECIAL, *lines, *chinese]) for text in targets)], trainer)
    core.add_tokens([AddedToken(line, normalized=False, special=False) for line in lines])
    # an option `A. 红色` and a sentence without spaces hold the same token
    core.add_tokens([AddedToken(word, normalized=False, special=False, lstrip=True) for word in chinese])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "start_image_token": IMAGE_START,
            "end_image_token": IMAGE_END,
            "context_image_token": IMAGE,
            "video_token": VIDEO,
        },
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
    )


def _without(text: str, lines: Sequence[str]) -> str:
    """The text that is left for the BPE to learn from."""
    for line in lines:
        text = text.replace(line, "\n\n")
    return text
