"""MLflow as the desk's memory: a parent run a command, a child a model, fold and seed; plain files only, nothing pickled."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import KestrelError
from pipelines.usage import Usage

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # of 7, which keep a terminal waiting for minutes where no server is

EXPERIMENT = "kestrel"
BATCH = 1000  # metrics that MLflow takes at once
LONGEST = 6000  # characters of a parameter's value
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"


class Experiments:
    """One tracking store, by default sqlite and an artifact folder in `runs`; a server's URI keeps both there.

    Raises KestrelError where there is no store that answers.
    """

    def __init__(self, runs: Path, uri: str | None = None) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        runs.mkdir(parents=True, exist_ok=True)
        self.uri = uri or f"sqlite:///{(runs / 'mlflow.db').resolve()}"
        try:
            self.client = MlflowClient(tracking_uri=self.uri)
            found = self.client.get_experiment_by_name(EXPERIMENT)
            artifacts = None if self.uri.startswith("http") else (runs / "artifacts").resolve().as_uri()
            self.experiment = found.experiment_id if found else self.client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        except MlflowException as error:
            why = str(error).partition(" (Caused by")[0]
            kept = f"What was made is kept in {runs}: see `tracking`, then run the same again"
            raise KestrelError(f"MLflow at {self.uri} doesn't answer: {why}. {kept}") from error

    def log(
        self,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        files: Sequence[Path] = (),
        tables: Mapping[str, int] | None = None,
        lake: str = "",
        usage: Usage | None = None,
    ) -> str:
        """A finished run; returns its id.  Metrics that are no finite number are left out.

        tables: {table: version} of the lake, which become the run's datasets.  usage: when it ran and what it took.
        """
        from mlflow.entities import Metric, Param

        labels = dict(tags or {}) | ({PARENT: parent} if parent else {})
        run = self.client.create_run(self.experiment, start_time=usage.began if usage else None, run_name=name, tags=labels).info
        figures = {**(metrics or {}), **(usage.figures() if usage else {})}
        flat = [Param(key, str(value)[:LONGEST]) for key, value in flattened(params or {}).items()]
        known = [Metric(key, float(value), run.start_time, 0) for key, value in figures.items() if np.isfinite(value)]
        for at in range(0, max(len(flat), len(known)), 100):
            self.client.log_batch(run.run_id, metrics=known[at : at + 100], params=flat[at : at + 100])
        for key, points in usage.course().items() if usage else ():
            self._points(run.run_id, [Metric(key, value, at, place) for place, (at, value) in enumerate(points)])
        if tables:
            self._inputs(run.run_id, tables, lake)
        for file in files:
            self.client.log_artifact(run.run_id, str(file))
        self.client.set_terminated(run.run_id, end_time=usage.ended if usage else None)
        return str(run.run_id)

    def series(self, run_id: str, key: str, dates: Sequence[date], values: NDArray[np.floating]) -> None:
        """A metric by date: the step is the day's number since 1970, the time its midnight, so that MLflow's plots have real dates."""
        from mlflow.entities import Metric

        steps = [(day - date(1970, 1, 1)).days for day in dates]
        stamps = [round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) for day in dates]
        known = zip(steps, stamps, values, strict=True)
        self._points(run_id, [Metric(key, float(value), stamp, step) for step, stamp, value in known if np.isfinite(value)])

    def attach(self, kind: str, run: str, model: str, file: Path) -> None:
        """Add a file to the run of a model, where it was logged."""
        query = f"tags.`kestrel.kind` = '{kind}' and tags.`kestrel.run` = '{run}' and tags.`kestrel.model` = '{model}'"
        for found in self.client.search_runs([self.experiment], query, max_results=1):
            self.client.log_artifact(found.info.run_id, str(file))

    def forget(self, run: str) -> None:
        """Delete what was logged of a run."""
        for found in self.client.search_runs([self.experiment], f"tags.`kestrel.run` = '{run}'", max_results=50_000):
            self.client.delete_run(found.info.run_id)

    def find(self, tag: str, value: str, *, last: int = 20) -> list[Any]:
        """The newest runs with a tag, newest first."""
        query = f"tags.{tag} = '{value}'"
        return list(self.client.search_runs([self.experiment], query, max_results=last, order_by=["attributes.start_time DESC"]))

    def tags(self, name: str) -> Mapping[str, str]:
        """The tags of the newest run of that name or id; none where there is no such run."""
        if name.isalnum() and len(name) == 32:
            for run in self.client.search_runs([self.experiment], f"attributes.run_id = '{name}'", max_results=1):
                return dict(run.data.tags)
        quoted = name.replace("'", "")
        for run in self.client.search_runs([self.experiment], f"attributes.run_name = '{quoted}'", max_results=1):
            return dict(run.data.tags)
        return {}

    def parent(self, run: str) -> str | None:
        """The id of the run that a folder was logged as."""
        query = f"tags.`kestrel.kind` = '{run.partition('-')[0]}' and tags.`kestrel.run` = '{run}'"
        found = self.client.search_runs([self.experiment], query, max_results=1, order_by=["attributes.start_time DESC"])
        return str(found[0].info.run_id) if found else None

    def _points(self, run_id: str, points: Sequence[Any]) -> None:
        for at in range(0, len(points), BATCH):
            self.client.log_batch(run_id, metrics=points[at : at + BATCH])

    def _inputs(self, run_id: str, tables: Mapping[str, int], lake: str) -> None:
        """The tables as datasets: the digest is the version."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = [InputTag("mlflow.data.context", "read")]
        found = [
            DatasetInput(Dataset(name, f"v{version}", "delta", f'{{"path": "{lake}/{name}", "delta_table_version": {version}}}'), context)
            for name, version in tables.items()
        ]
        self.client.log_inputs(run_id, datasets=found)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted path, as MLflow's parameters are."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
