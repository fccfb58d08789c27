"""`kestrel data vacuum` and `restore`: what old versions take, and the way back to one."""

from pathlib import Path

import click

from pipelines.commands.shared import JSON, Context

WEEK = 168


@click.command("vacuum")
@click.option("--hours", default=WEEK, show_default=True, type=click.IntRange(min=0), help="Take versions that were replaced longer ago than this.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be taken.")
@click.option("--runs", "others", multiple=True, type=click.Path(path_type=Path), help="Another folder of runs that read this lake; may be repeated.")
@JSON
@click.pass_obj
def vacuum_(shared: Context, hours: int, dry_run: bool, others: tuple[Path, ...], as_json: bool) -> None:
    """Delete the files of old versions, but never of one that a run or a signal read.

    \b
    Example:  kestrel data vacuum --dry-run
    """
    from data.vacuum import vacuum
    from pipelines.console import show
    from pipelines.versions import needed

    config, lake = shared.config(), shared.lake()
    swept = vacuum(lake, needed(lake, Path(config.runs), Path(config.signals), *others), hours=hours, dry_run=dry_run)
    rows = [{"table": one.table, "files": one.files, "megabytes": one.bytes / 1e6, "kept for runs": " ".join(map(str, one.kept))} for one in swept]
    show(rows, title="Would be taken" if dry_run else "Taken", as_json=as_json)


@click.command("restore")
@click.argument("table")
@click.option("--to", "version", required=True, type=click.IntRange(min=0), help="The version to go back to.")
@click.pass_obj
def restore_(shared: Context, table: str, version: int) -> None:
    """Make an earlier version of a table the newest again; what came after stays in its history.

    \b
    Example:  kestrel data restore bars --to 3
    """
    from pipelines.console import say

    say(f"{table} is at version {shared.lake().restore(table, version)}, with the rows of {version}.")
