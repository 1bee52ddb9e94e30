"""Read models as pure folds of the log: dropped and built anew, they are equal."""
