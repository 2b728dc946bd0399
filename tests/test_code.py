"""A stored score is trusted only while the code of its rules stands: what the fingerprint covers."""

from pathlib import Path

from harness import code, registry


def files(name: str, protocol: str) -> set[str]:
    rules = registry.rules(registry.task(name), protocol)
    found = (rules.request, rules.score, rules.aggregate)
    root = Path(code.__file__).parents[1]
    return {str(path.relative_to(root)) for function in found for path in code._sources(function)}


def test_prompts_behind_shared_frames_count() -> None:
    """`images_then(prompt)` is a closure of a shared module: the module of `prompt` decides the request."""
    assert "tasks/protocols/vlmevalkit/choice.py" in files("mmstar", "vlmevalkit@2026-08")
    assert "tasks/protocols/lmms_eval/choice.py" in files("blink", "lmms-eval@0.7.2")
    assert "tasks/protocols/lmms_eval/mmmu.py" in files("mmmu", "lmms-eval@post-1471")
    assert "tasks/protocols/vlmevalkit/open_ended.py" in files("mathvista", "vlmevalkit@2024-07")
    assert "tasks/mmstar.py" in files("mmstar", "official")
