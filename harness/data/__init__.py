"""Where samples come from: VLMEvalKit TSV, Hugging Face parquet and hub, folders, mini."""

from harness.data.dataset import Dataset
from harness.data.opening import open_dataset, open_questions

__all__ = ["Dataset", "open_dataset", "open_questions"]
