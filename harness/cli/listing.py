"""What the listing verbs share: a verb that lists and has `show NAME`; tables for people, JSON for machines."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from harness import registry
from harness.api import HarnessError

Record = Mapping[str, Any]


def listing(
    name: str,
    *,
    help: str,
    epilog: str,
    records: Callable[[], Sequence[Record]],
    columns: Mapping[str, str],
    show: Callable[[str], Record],
    numbers: Sequence[str] = (),
) -> click.Group:
    """The verb `name`: lists `records` as a table of `columns` (key -> heading; `numbers` are right-aligned).

    `harness NAME show X` writes the record `show(X)`, which has everything there is to say; `--json` writes either
    for machines.
    """
    as_json = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")

    @click.group(name, invoke_without_command=True, help=help, epilog=epilog)
    @as_json
    @click.pass_context
    def group(ctx: click.Context, as_json: bool) -> None:
        if ctx.invoked_subcommand is None:
            found = records()
            print_json(found) if as_json else print_table(found, columns, numbers)

    @group.command("show", help=f"Show one of the {name}.", epilog=epilog)
    @click.argument("name")
    @as_json
    def show_one(name: str, as_json: bool) -> None:
        record = show(name)
        print_json(record) if as_json else print_record(record)

    return group


def print_json(value: Any) -> None:
    """Write JSON to stdout, readable and in the order given."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def print_table(records: Sequence[Record], columns: Mapping[str, str], numbers: Sequence[str] = ()) -> None:
    """A table: `columns` maps key to heading; keys in `numbers` are aligned to the right.

    A record with the key `error` (a plug-in that cannot be loaded) stands below: it hides no other.
    """
    working = [record for record in records if "error" not in record]
    if not records:
        click.echo("none is installed")
    if working:
        _table(working, columns, numbers)
    for record in records:
        if "error" in record:
            click.echo(f"{click.style(record['name'], fg='red')}: {record['error']}")


def _table(records: Sequence[Record], columns: Mapping[str, str], numbers: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for key, heading in columns.items():
        right = key in numbers
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=right or key == "name")
    for record in records:
        table.add_row(*(Text(as_text(record[key])) for key in columns))
    Console().print(table)


def print_record(record: Record) -> None:
    """A record as `key  value` lines; a value of several lines stands below its key."""
    width = max(map(len, record), default=0) + 2
    for key, value in record.items():
        written = as_text(value)
        if "\n" in written or isinstance(value, Mapping):
            written = "".join(f"\n    {line}" for line in written.splitlines())
        if written:
            click.echo(click.style(key.ljust(width), bold=True) + written)


def as_text(value: Any) -> str:
    """A value of a record in words: lists with commas, a mapping as lines, thousands separated."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {as_text(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(as_text, value))
    return "" if value is None else str(value)


def described(kind: str, name: str) -> dict[str, Any]:
    """A plug-in as a record: `what` is the first line of its module's docstring, `error` why there is none to read."""
    try:
        return {"name": name, "what": documentation(kind, name)["about"].partition("\n")[0]}
    except HarnessError as error:
        return {"name": name, "error": error.message}


def documentation(kind: str, name: str) -> dict[str, str]:
    """The docstrings of a plug-in's module (`about`) and of the plug-in (`use`), read from the source, not imported.

    Raises HarnessError for an unknown name, and for a plug-in whose module is not installed.
    """
    module, _, attribute = registry.target(kind, name).partition(":")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise HarnessError(f"the {kind[:-1]} {name!r} has no module {module}", "install the package that it belongs to")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    own = (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == attribute)
    use = next(map(ast.get_docstring, own), None)
    return {"name": name, "about": ast.get_docstring(tree) or "", "use": use or ""}
