"""The tear sheet: one self-contained HTML page and its numbers as JSON."""
