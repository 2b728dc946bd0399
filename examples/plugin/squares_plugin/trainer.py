"""Supervised fine-tuning with a loop of its own; every stage is the running average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from harness.api import Stage
from trainers.context import Context
from trainers.definition import Definition
from trainers.recipe import Recipe

KEEP = 0.9  # of the average at every step


class AveragedSFT(Definition):
    """What `run` must do: train one seed, leave a checkpoint after every stage, and yield it with its live model."""

    def run(self, recipe: Recipe, context: Context) -> Iterator[Stage]:
        """As many stages and optimizer steps, of the same questions in the same order, as every other method."""
        import torch

        from trainers.checkpoints import Places, write_whole
        from trainers.groups import Group, gold
        from trainers.models import LiveModel, load_student
        from trainers.optimizer import build_optimizer
        from trainers.order import plan_stages
        from trainers.packing import ResponseModel
        from trainers.step import Batches

        recipe = self.resolved(recipe, context.method)
        torch.manual_seed(context.seed)
        student = load_student(recipe, context.accelerator.device)
        average = copy.deepcopy(student.module)
        model, optimizer = ResponseModel(student.module), build_optimizer(student.module, recipe.optimizer)
        tokenizer, questions = student.preprocessor.tokenizer, context.data.order(context.seed)
        batches, places, tokens = Batches(student, recipe), Places(context.folder, context.method, context.seed), 0

        def save(folder) -> None:
            average.save_pretrained(folder)
            student.processor.save_pretrained(folder)

        for plan in plan_stages(recipe, len(questions)):
            for step in plan.steps:
                answers = [(questions[i], gold(questions[i], tokenizer, student.end)) for i in step]
                batch = batches.batch([Group(question, (answer,)) for question, answer in answers])
                tokens += len(batch.targets)
                (-model(batch, len(tokenizer)).logp.mean()).backward()
                optimizer.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    for kept, new in zip(average.parameters(), student.module.parameters(), strict=True):
                        kept.lerp_(new, 1 - KEEP)
            folder, name = places.checkpoint(plan.spec.index), f"{plan.spec.index + 1}-average"
            write_whole(folder, save)
            done = {"steps": plan.first_step + len(plan.steps), "questions": plan.questions.stop}
            budget = {**done, "responses": done["questions"], "student_tokens": tokens}
            meta = {"method": context.method, "seed": context.seed, "index": plan.spec.index, "title": self.title}
            live = LiveModel(
                average, student.preprocessor, name=name, fingerprint=student.mark(folder), precision="fp32"
            )
            yield Stage(context.method, name, plan.spec.index, str(folder), live, budget, meta)


METHOD = AveragedSFT("Averaged SFT", "gold")
