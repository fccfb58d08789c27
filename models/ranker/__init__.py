"""The ranker: a Transformer that ranks the cross-section of one session."""
