"""MLflow: one store, runs that mirror what the stages write, the model registry."""
