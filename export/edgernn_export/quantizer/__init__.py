"""Float model and statistics to integer model, with its proof, its report and its sensitivity."""
