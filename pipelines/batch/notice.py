"""Notices: what came of a batch, to a command or a URL, by processes that nobody waits for."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.batch.settings import NoticeSettings

# Posted by an interpreter of its own: a server that hangs holds nothing up.
POST = (
    "import os, sys, urllib.request\n"
    "request = urllib.request.Request(os.path.expandvars(sys.argv[1]), sys.stdin.buffer.read(), {'Content-Type': 'application/json'})\n"
    "urllib.request.urlopen(request, timeout=30)\n"
)


def tell(settings: NoticeSettings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Start whoever is to be told, and return at once; what couldn't be started, as sentences."""
    if settings.on == "trouble" and not any(row["exit_code"] or row["warnings"] for row in rows):
        return []
    commands = [list(settings.command)] if settings.command else []
    commands += [[sys.executable, "-c", POST, settings.webhook]] if settings.webhook else []
    failed = []
    if "$" in os.path.expandvars(settings.webhook):
        failed.append(f"The notice to {settings.webhook} wasn't sent: the environment lacks the variable.")
        commands.pop()
    for command in commands:
        try:
            with tempfile.TemporaryFile() as message:
                message.write(json.dumps(list(rows), ensure_ascii=False, default=str).encode())
                message.seek(0)
                quiet = [(os.POSIX_SPAWN_OPEN, handle, os.devnull, os.O_WRONLY, 0) for handle in (1, 2)]
                os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, message.fileno(), 0), *quiet], setsid=True)
        except OSError as error:
            failed.append(f"The notice by {command[0]} wasn't sent: {error}.")
    return failed
