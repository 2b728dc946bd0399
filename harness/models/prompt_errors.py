"""What can go wrong with one prompt, so that the others go on."""

from jinja2 import TemplateError
from PIL import Image as Pillow

from harness.api import HarnessError

#: What a broken image or prompt makes decoders, chat templates and processors raise.
PROMPT_ERRORS = (
    OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError, SyntaxError, HarnessError, TemplateError,
    Pillow.DecompressionBombError, MemoryError,
)  # fmt: skip
