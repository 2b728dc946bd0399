"""The judge prompts by which protocols let a language model match a response to an option. The wording is data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.api import Sample

_CHINESE = re.compile("[\u4e00-\u9fff]")

_ENGLISH = (
    "You are an AI assistant who will help me to match an answer with several options of a single-choice question. "
    "You are provided with a question, several options, and an answer, and you need to find which option is most "
    "similar to the answer. If the meaning of all options are significantly different from the answer, output Z. "
    "Your should output a single uppercase character in A, B, C, D (if they are valid options), and Z. \n"
    "Example 1: \nQuestion: What is the main object in image?\nOptions: A. teddy bear B. rabbit C. cat D. dog\n"
    "Answer: a cute teddy bear\nYour output: A\n"
    "Example 2: \nQuestion: What is the main object in image?\nOptions: A. teddy bear B. rabbit C. cat D. dog\n"
    "Answer: Spider\nYour output: Z\n"
    "Example 3: \nQuestion: {question}?\nOptions: {options}\nAnswer: {response}\nYour output: "
)
_LMMS = _ENGLISH.replace("output Z.", "output E.").replace("and Z. ", "and E. ").replace("output: Z\n", "output: E\n")
_IN_CHINESE = (
    "你是一个帮助我匹配答案与单选题中多个选项的 AI 助手。"
    "你会被提供：一个问题，多个选项，一个答案。你的任务是找到与答案意义最相近的选项。"
    "如果所有选项的意义都与答案显著不同，则输出 Z。"
    "你应该输出一个单个的大写字母，例如 A, B, C, D（如果它们是有效选项），或 Z。"
    "例 1:问题: 图中最主要的物体是什么?\n选项: A. 泰迪熊 B. 兔子 C. 猫 D. 狗\n答案: 一只可爱的泰迪熊\n输出: A\n"
    "例 2: \n问题: 图中最主要的物体是什么?\n选项: A. 泰迪熊 B. 兔子 C. 猫 D. 狗\n答案: 蜘蛛\n输出: Z\n"
    "例 3: \n问题: {question}?\n选项: {options}\n答案: {response}\n输出: "
)
_BLINK = (
    "You are an AI assistant who will help me to match an answer with several options of a single-choice question. "
    "You are provided with a question, several options, and an answer, and you need to find which option is most "
    "similar to the answer. If the answer says things like refuse to answer, I'm sorry cannot help, etc., output (Z)"
    "If the meaning of all options are significantly different from the answer, or the answer does not select any "
    "option, output (Z)Your should output one of the choices, (A),(B),(C),(D),(E) (if they are valid options), or (Z)\n"
    "Example 1: \nQuestion: Which point is closer to the camera?\nSelect from the following choices.\n"
    "Options: (A) Point A\n(B) Point B\n(Z) Failed\n"
    "Answer: Point B, where the child is sitting, is closer to the camera.\nYour output: (B)\n"
    "Example 2: \nQuestion: Which point is closer to the camera?\nSelect from the following choices.\n"
    "Options: (A) Point A\n(B) Point B\n(Z) Failed\n"
    "Answer: I'm sorry, but I can't assist with that request.\nYour output: (Z)\n"
    "Example 3: \nQuestion: Which point is corresponding to the reference point?\n"
    "Select from the following choices.\nOptions: (A) Point A\n(B) Point B\n(Z) Failed\n"
    "Answer:The reference point (REF) on the first image is at the tip of the pot, which is the part used to Poke if "
    "the pots were used for that action. Looking at the second image, we need to find the part of the object that "
    "would correspond to poking.\n(A) Point A is at the tip of the spoon's handle, which is not used for poking.\n"
    "(B) Point B is at the bottom of the spoon, which is not used for poking.\n"
    "(C) Point C is on the side of the pspoonot, which is not used for poking.\n"
    "(D) Point D is at the tip of the spoon, which is not used for poking.\n\n"
    "Therefore, there is no correct answer in the choices\nYour output: (Z)\n"
    "Example 4: \nQuestion: {question}?\nOptions: {options}\n(Z) Failed\nAnswer: {response}\nYour output: "
)


# VLMEvalKit's variant of it: bare letters in the task and in the first example.
_VLMEVALKIT_BLINK = (
    _BLINK.replace("etc., output (Z)If", "etc., output Z.If")
    .replace("any option, output (Z)Your", "any option, output Z. Your")
    .replace("one of the choices, (A),(B),(C),(D),(E) (if they are valid options), or (Z)\n",
             "one of the choices, A, B, C, D (if they are valid options), or Z.\n")
    .replace("Options: (A) Point A\n(B) Point B\n", "Options: A. Point A\nB. Point B\n", 1)
)  # fmt: skip


def is_chinese(text: str) -> bool:
    """Whether the text holds a CJK ideograph (VLMEvalKit's cn_string)."""
    return _CHINESE.search(text) is not None


def option_lines(choices: Mapping[str, str]) -> str:
    """VLMEvalKit's list of options inside its judge prompts (build_option_str)."""
    return "There are several options: \n" + "".join(f"{letter}. {text}\n" for letter, text in choices.items())


def match_prompt(sample: Sample, response: str) -> str:
    """VLMEvalKit's matching prompt, in Chinese where the question has a CJK character (build_prompt of July 2024)."""
    frame = _IN_CHINESE if is_chinese(sample.question) else _ENGLISH
    return frame.format(question=sample.question, options=option_lines(sample.choices), response=response)


def lmms_match_prompt(question: str, choices: Mapping[str, str], response: str) -> str:
    """lmms-eval's matching prompt for MMBench (mmbench_evals.py at 75571cfe): "no match" is E, and no Chinese one."""
    return _LMMS.format(question=question, options=option_lines(choices), response=response)


def blink_match_prompt(sample: Sample, response: str) -> str:
    """BLINK's own matching prompt (zeyofu/BLINK_Benchmark eval/multiple_choice.py at 2d6a779b)."""
    options = "\n".join(f"({letter}) {text}" for letter, text in sample.choices.items())
    question = f"{sample.question}\nSelect from the following choices"
    return _BLINK.format(question=question, options=options, response=response)


def vlmevalkit_blink_prompt(sample: Sample, response: str) -> str:
    """VLMEvalKit's matching prompt for its data set BLINK (build_prompt_blink), whatever the question's language."""
    return _VLMEVALKIT_BLINK.format(question=sample.question, options=option_lines(sample.choices), response=response)
