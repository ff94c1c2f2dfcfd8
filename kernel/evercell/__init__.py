"""Evercell: notebook cells and steps as durable activities, their history in DuckDB."""
