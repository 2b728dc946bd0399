"""trl's DistillationTrainer on stored responses, for benchmarks/training_steps.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from step_parts import GROUP, RESPONSE, Ours, Round


def trl_trainer(student: str, teacher: str, rounds: list[Round], between: Callable[[int], None], folder: Path) -> Any:
    """The trainer on the same responses, G rows a question; `between(n)` is called after its n-th step."""
    import datasets
    import transformers as hf
    from trl import DistillationConfig, DistillationTrainer

    rows = [(p, g) for r in rounds for p, g in zip(r.shown, r.asked, strict=True) for _ in range(GROUP)]
    texts = {g.question.sample.question: iter(g.responses) for r in rounds for g in r.asked}

    class Stored(DistillationTrainer):
        def _generate(self, prompts: Any) -> Any:
            self.asked = [next(part["text"] for part in p[-1]["content"] if part["type"] == "text") for p in prompts]
            return super()._generate(prompts)

        def _generate_single_turn(
            self, prompt_ids: Any, images: Any, fields: Any, has_tool_images: bool = False
        ) -> Any:
            self.prompts.update(zip(self.asked, prompt_ids, strict=True))
            return [list(next(texts[text]).token_ids) for text in self.asked]

        def training_step(self, *given: Any) -> Any:
            self.started = time.perf_counter()
            return super().training_step(*given)

    class Between(hf.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            trainer.seconds.append(time.perf_counter() - trainer.started)
            between(state.global_step - 1)

    size = len(rounds[0].asked) * GROUP
    settings = DistillationConfig(
        output_dir=str(folder), per_device_train_batch_size=size, gradient_accumulation_steps=1, num_train_epochs=1,
        logging_strategy="no", learning_rate=1e-6, beta=0.5, max_completion_length=RESPONSE, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to=[], save_strategy="no", shuffle_dataset=False,
        disable_tqdm=True, remove_unused_columns=False, lr_scheduler_type="constant",
    )  # fmt: skip
    given = datasets.Dataset.from_list(
        [{"prompt": [{"role": "user", "content": g.question.sample.question}], "image": p} for p, g in rows],
        features=datasets.Features(
            {"prompt": [{"role": datasets.Value("string"), "content": datasets.Value("string")}],
             "image": datasets.Image()}
        ),
    )  # fmt: skip
    load = hf.AutoModelForImageTextToText.from_pretrained
    processor = hf.AutoProcessor.from_pretrained(student, padding_side="left")
    trainer = Stored(load(student), load(teacher), settings, given, processing_class=processor, callbacks=[Between()])
    trainer.seconds, trainer.prompts = [], {}
    return trainer


def check_prompts(trainer: Any, ours: Ours, rounds: list[Round]) -> int:
    """The prompt tokens of a question, after seeing that trl's are ours."""
    from trainers.models import prompt_of

    lengths = []
    for question in (group.question for part in rounds for group in part.asked):
        mine = prompt_of(question, ours.student.preprocessor)["input_ids"][0].tolist()
        if mine != list(trainer.prompts[question.sample.question]):
            raise SystemExit(f"trl's prompt of question {question.sample.id} has other tokens than ours")
        lengths.append(len(mine))
    return round(statistics.median(lengths))
