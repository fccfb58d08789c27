"""The tear sheet of factors: one self-contained HTML page and its numbers as JSON."""
