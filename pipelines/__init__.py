"""Commands: the only place that knows the terminal, the clock, the config file and MLflow."""
