"""What every command shares: the options in front of it, the config and lake they name, and one way to fail."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data.errors import KestrelError

if TYPE_CHECKING:
    from data.lake import Lake
    from pipelines.config import Config

DAY = click.DateTime(formats=["%Y-%m-%d"])
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
LANG = click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="The language of the page's labels.")


@dataclass
class Context:
    """The options that every command shares."""

    file: Path | None
    sets: tuple[str, ...]
    lake_uri: str | None

    def config(self, file: Path | None = None) -> "Config":
        """The resolved config; a command's own -c comes before the shared one."""
        from pipelines.config import load

        return load(file or self.file, sets=self.sets, lake=self.lake_uri)

    def lake(self, config: "Config | None" = None) -> "Lake":
        """The lake that the config names, which must exist."""
        from data.lake import open_lake

        return open_lake((config or self.config()).lake)


def config_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add -c FILE to a command."""
    return click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="A config file; default kestrel.toml.")(command)


class Group(click.Group):
    """A group whose commands turn what a user can mend into one message and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a KestrelError ends it with its own exit code and no traceback."""
        try:
            return super().invoke(context)
        except KestrelError as error:
            from pipelines.console import shown

            click.echo(f"{click.style('error:', fg='red', bold=True)} {shown(str(error))}", err=True)
            sys.exit(error.exit_code)


def command(group: click.Group, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Register a command that takes the shared options as its first argument."""

    def register(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        @click.pass_obj
        def run(obj: Context, /, *args: Any, **options: Any) -> None:
            function(obj, *args, **options)

        return group.command(name)(run)

    return register
