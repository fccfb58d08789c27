"""The timer that runs the batch, as text for systemd or cron."""

import shlex
import sys
from pathlib import Path

SERVICE = """# ~/.config/systemd/user/kestrel.service
[Unit]
Description=Kestrel: from the last close to the orders of the next session
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
# 1: mend and rerun, 3: data aren't fit, 4: another batch is at work; the next timer tries again.
SuccessExitStatus=4

# ~/.config/systemd/user/kestrel.timer
[Unit]
Description=Kestrel on every weekday from {hour}:00 in Shanghai

[Timer]
{calendars}
Persistent=true

[Install]
WantedBy=timers.target

# systemctl --user daemon-reload && systemctl --user enable --now kestrel.timer
"""
CRON = """# crontab -e
# Every hour at :05, whatever zone and summer time this host has: the batch itself asks for the time in Shanghai.  Before {hour}:00 there
# it finds the last session published already and does nothing; a run that was refused is tried again an hour later.
5 * * * * cd {folder} && {command}
"""


def timer(kind: str, hour: int, folder: Path, options: tuple[str, ...] = ()) -> str:
    """The unit files or the crontab line; options: what stands between `kestrel` and `signal`."""
    program = Path(sys.argv[0])
    command = shlex.join([str(program.resolve()) if program.name == "kestrel" else "kestrel", *options, "signal", "--catch-up"])
    if kind == "cron":
        return CRON.format(hour=hour, folder=shlex.quote(str(folder)), command=command)
    later = [f"OnCalendar=Mon..Fri {each:02}:00 Asia/Shanghai" for each in range(hour, min(hour + 4, 24))]
    return SERVICE.format(hour=hour, folder=folder, command=command, calendars="\n".join(later))
