"""What MLflow's tracking process loads from us. Runs inside that process only."""
