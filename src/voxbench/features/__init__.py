"""Front ends, the array store and the data sets that feed training."""
