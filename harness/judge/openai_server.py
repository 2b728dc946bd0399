"""The judge `openai`: a language model behind any server that speaks the OpenAI chat API."""

from __future__ import annotations

from typing import Any

from harness.judge.model_judge import ModelJudge
from harness.judge.spec import Options, at_least, parse_spec
from harness.models.openai_server import OpenAIModel

_TIMEOUT_S = 120.0

OPTIONS: Options = {
    "base_url": str,
    "concurrency": at_least(1, int),
    "timeout": at_least(0.001, float),
    "attempts": at_least(1, int),
    "pause": at_least(0, float),
    "max_calls": at_least(0, int),
    "max_tokens": at_least(0, int),
}


def open_judge(spec: str = "") -> ModelJudge:
    """A served language model: openai:MODEL?base_url=http://localhost:8000/v1&max_calls=500; key in OPENAI_API_KEY.

    Options: base_url (else OPENAI_BASE_URL), concurrency (at most so many requests at a time; found by trying), timeout
    and pause in seconds, attempts, and the budgets max_calls and max_tokens (prompts and answers) of one process.
    Answers are known by model name, prompt and settings, so a server that moves to another address is not asked again.
    """
    model, options = parse_spec("openai", spec, OPTIONS)
    settings: dict[str, Any] = {"timeout": _TIMEOUT_S, **options}
    served = OpenAIModel(model, **settings)
    served.check_ready()
    return ModelJudge(served, f"openai:{model}", identity=f"openai:{model}")
