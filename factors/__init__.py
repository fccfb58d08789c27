"""Factors: expressions over the panel, their operators, the library, cleaning, evaluation and the proof that none looks ahead."""
