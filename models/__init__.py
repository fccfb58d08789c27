"""Models: labels, walk-forward folds, the models that score a cross-section, and how they are judged."""
