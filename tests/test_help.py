"""Every verb's help has an example of that very verb, and every example of every help can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import main

EXAMPLES = re.compile(r"\AExamples?:\n((?:  .*\n?)+)")


def commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """A command and, of a group, those below it."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, click.Context(below, info_name=name, parent=context))


ALL = {context.command_path: context for context in commands(main, click.Context(main, info_name="harness"))}


def examples(context: click.Context) -> list[list[str]]:
    """The words of each example of a help, without the remark behind three spaces and the shell's part."""
    epilog = (context.command.epilog or "").replace("\b\n", "")
    found = EXAMPLES.search(epilog)
    assert found, f"{context.command_path} --help has no example"
    return [
        shlex.split(re.split(r" {3,}| > | \| |; | && ", line.strip())[0])
        for line in found[1].splitlines()
        if line.startswith("  harness ")
    ]


def parsed(words: list[str]) -> click.Context:
    """The command that the words mean, its arguments parsed as click does it before it calls the command."""
    context, rest = click.Context(main, info_name="harness"), words[1:]
    while isinstance(context.command, click.Group) and rest and not rest[0].startswith("-"):
        below = context.command.get_command(context, rest[0])
        assert below is not None, f"no verb {rest[0]!r} in {shlex.join(words)}"
        leads_on = isinstance(below, click.Group) and rest[1:] and not rest[1].startswith("-")
        if not leads_on:
            return below.make_context(rest[0], list(rest[1:]), parent=context)
        context, rest = click.Context(below, info_name=rest[0], parent=context), rest[1:]
    return context


@pytest.fixture(autouse=True)
def any_path_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of an example need not be there."""

    def convert(self: click.Path, value: Any, param: Any, ctx: Any) -> Path:
        return Path(value)

    monkeypatch.setattr(click.Path, "convert", convert)


@pytest.mark.parametrize("path", ALL)
def test_help_shows_examples_that_can_be_typed(path: str) -> None:
    context = ALL[path]
    assert "Examples:" in context.get_help() or "Example:" in context.get_help()
    typed = [parsed(words).command_path for words in examples(context)]
    if not isinstance(context.command, click.Group) or context.command.invoke_without_command:
        assert path in typed, f"no example of {path} itself, only of {', '.join(typed)}"
    else:
        assert any(name.startswith(path) for name in typed), typed
