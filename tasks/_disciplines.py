"""The 30 subjects of MMMU and MMMU-Pro in their six disciplines (mmmu/utils/data_utils.py, DOMAIN_CAT2SUB_CAT)."""

from __future__ import annotations

_SUBJECTS = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy "
    "Public_Health",
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power "
    "Materials Mechanical_Engineering",
}
DISCIPLINE = {subject: name for name, subjects in _SUBJECTS.items() for subject in subjects.split()}


def facets(subject: str) -> dict[str, str]:
    """The meta of an item: its subject and, where the subject is one of the 30, its discipline."""
    return {"subject": subject} | ({"discipline": DISCIPLINE[subject]} if subject in DISCIPLINE else {})
