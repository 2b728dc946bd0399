"""The judge prompts of VLMEvalKit for open answers. The wording, with its line breaks and slips, is data.

Source: open-compass/VLMEvalKit vlmeval/dataset/utils/mathvista.py and mmvet.py, the same at e8e78f05 and c03bc048.
"""

from __future__ import annotations

from harness.api import Sample
from harness.scoring.mmvet_grade import graded_row

_REQUIRING = "Hint: Please answer the question requiring {} and provide the final {},\ne.g., {}, at the end.\n\n"
_EXAMPLES = (
    (
        _REQUIRING.format("an integer answer", "value", "1, 2, 3"),
        "Which number is missing?\n", "", "The number missing in the sequence is 14.\n", "14",
    ),
    (
        _REQUIRING.format("a floating-point number with one decimal place", "value", "1.2, 1.3, 1.4"),
        "What is the fraction of females facing the camera?\n", "",
        "The fraction of females facing the camera is 0.6,\n"
        "which means that six out of ten females in the group are facing the camera.\n", "0.6",
    ),
    (
        _REQUIRING.format("a floating-point number with two decimal places", "value", "1.23, 1.34, 1.45"),
        "How much money does Luca need to buy a sour apple candy and a butter-scotch candy? (Unit: $)\n", "",
        "Luca needs $1.45 to buy a sour apple candy and a butterscotch candy.\n", "1.45",
    ),
    (
        _REQUIRING.format("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]"),
        "Between which two years does the line graph saw its maximum peak?\n", "",
        "The line graph saw its maximum peak between 2007 and 2008.\n", "[2007, 2008]",
    ),
    (
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n\n",
        "What fraction of the shape is blue?\n", "Choices: (A) 3/11 (B) 8/11 (C) 6/11 (D) 3/5\n\n",
        "The correct answer is (B) 8/11.\n", "B",
    ),
)  # fmt: skip


def _example(hint: str, question: str, choices: str, response: str, answer: str) -> str:
    return f"\n{hint}Question: {question}\n{choices}Model response: {response}\nExtracted answer: {answer}\n"


_EXTRACTION = (
    "\nPlease read the following example.\n"
    "Then extract the answer from the model response and type it at the end of the prompt.\n\n"
) + "".join(_example(*example) + "\n" for example in _EXAMPLES)


def mathvista_extraction_prompt(question: str, response: str) -> str:
    """MathVista: five examples, the question as it was put, the response ("respone" is upstream's spelling)."""
    return f"{_EXTRACTION}{question}\nModel respone: {response}Extracted answer:"


_EQUATION = "What is x in the equation? | -1 <AND> -5 | "
_MEME = (
    "Can you explain this meme? | This meme is poking fun at the fact that the names of the countries\n"
    "Iceland and Greenland are misleading. Despite its name, Iceland is known for its beautiful green landscapes,\n"
    "while Greenland is mostly covered in ice and snow. The meme is saying that the person has trust issues\n"
    "because the names of these countries do not accurately represent their landscapes. |\n"
)
_GRADING = (
    "\nCompare the ground truth and prediction from AI models, to give a correctness score for the prediction.\n"
    "<AND> in the ground truth means it is totally right\n"
    "only when all elements in the ground truth are present in the prediction,\n"
    "and <OR> means it is totally right when any one element in the ground truth is present in the prediction.\n"
    "The correctness score is 0.0 (totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 (totally right)."
    "\nJust complete the last space of the correctness score.\n\n"
    "Question | Ground truth | Prediction | Correctness\n--- | --- | --- | ---\n"
    f"{_EQUATION}x = 3 | 0.0\n{_EQUATION}x = -1 | 0.5\n{_EQUATION}x = -5 | 0.5\n{_EQUATION}x = -5 or 5 | 0.5\n"
    f"{_EQUATION}x = -1 or x = -5 | 1.0\n"
    f"{_MEME}The meme talks about Iceland and Greenland. It's pointing out that despite their names,\n"
    "Iceland is not very icy and Greenland isn't very green. | 0.4\n"
    f"{_MEME}The meme is using humor to point out the misleading nature of Iceland's and Greenland's names.\n"
    "Iceland, despite its name, has lush green landscapes while Greenland is mostly covered in ice and snow.\n"
    "The text 'This is why I have trust issues' is a playful way to suggest\n"
    "that these contradictions can lead to distrust or confusion.\n"
    "The humor in this meme is derived from the unexpected contrast between the names of the countries\n"
    "and their actual physical characteristics. | 1.0\n"
)


def mmvet_grading_prompt(sample: Sample, response: str) -> str:
    """MM-Vet: the authors' task and examples on other lines, and the row whose last cell the judge completes."""
    return f"{_GRADING}\n{graded_row(sample.question, sample.answer, response)}"
