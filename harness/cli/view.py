"""`harness view`: a run's page, served on this machine."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness view runs/full-mini
  harness view runs/full-hub --port 0 --open

The address holds a token and is reachable from this machine only; from another one use `ssh -L 8421:127.0.0.1:8421`.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--port", default=8421, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
def view(run: Path, port: int, opened: bool) -> None:
    """Serve a run's report on this machine; items are loaded as they are looked at."""
    import webbrowser

    from harness.report.server import PageServer

    with PageServer(run, port) as server:
        click.echo(f"{server.url}\nCtrl-C ends it.")
        if opened:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended")
