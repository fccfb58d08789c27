"""MLflow as the desk's memory: a parent run a command, a child a model, fold and seed; plain files only, nothing pickled."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config import Config

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

EXPERIMENT = "kestrel"
BATCH = 1000  # metrics that MLflow takes at once
PARENT = "mlflow.parentRunId"


class Experiments:
    """One tracking store, by default sqlite and an artifact folder in `runs`."""

    def __init__(self, runs: Path, uri: str | None = None) -> None:
        from mlflow import MlflowClient

        runs.mkdir(parents=True, exist_ok=True)
        self.uri = uri or f"sqlite:///{(runs / 'mlflow.db').resolve()}"
        self.client = MlflowClient(tracking_uri=self.uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        artifacts = None if uri else (runs / "artifacts").resolve().as_uri()
        self.experiment = found.experiment_id if found else self.client.create_experiment(EXPERIMENT, artifact_location=artifacts)

    def log(
        self,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        files: Sequence[Path] = (),
    ) -> str:
        """A finished run; returns its id.  Metrics that are no finite number are left out."""
        from mlflow.entities import Metric, Param

        labels = dict(tags or {}) | ({PARENT: parent} if parent else {})
        run = self.client.create_run(self.experiment, run_name=name, tags=labels).info
        stamp = run.start_time
        flat = [Param(key, str(value)[:500]) for key, value in flattened(params or {}).items()]
        known = [Metric(key, float(value), stamp, 0) for key, value in (metrics or {}).items() if np.isfinite(value)]
        for at in range(0, max(len(flat), len(known)), 100):
            self.client.log_batch(run.run_id, metrics=known[at : at + 100], params=flat[at : at + 100])
        for file in files:
            self.client.log_artifact(run.run_id, str(file))
        self.client.set_terminated(run.run_id)
        return str(run.run_id)

    def series(self, run_id: str, key: str, dates: Sequence[date], values: NDArray[np.floating]) -> None:
        """A metric by date: the step is the day's number since 1970."""
        from mlflow.entities import Metric

        stamp = self.client.get_run(run_id).info.start_time
        epoch = date(1970, 1, 1)
        points = [Metric(key, float(value), stamp, (day - epoch).days) for day, value in zip(dates, values, strict=True) if np.isfinite(value)]
        for at in range(0, len(points), BATCH):
            self.client.log_batch(run_id, metrics=points[at : at + BATCH])

    def find(self, tag: str, value: str, *, last: int = 20) -> list[Any]:
        """The newest runs with a tag, newest first."""
        query = f"tags.{tag} = '{value}'"
        return list(self.client.search_runs([self.experiment], query, max_results=last, order_by=["attributes.start_time DESC"]))


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted path, as MLflow's parameters are."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def serve(config: Config, port: int) -> None:
    """Run MLflow's own pages over the store, bound to this machine, until interrupted."""
    store = Experiments(Path(config.runs), config.tracking)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--host", "127.0.0.1", "--port", str(port)]
    subprocess.run(command, check=False)
