"""Sentiment: news scored by a language model that reasons, by a student distilled from it, or by a list of words."""
