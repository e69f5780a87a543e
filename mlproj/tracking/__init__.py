"""Runs and registered models, through the project's own MLflow."""
