"""The commands of `kestrel`, by what they work on.  Heavy imports stand inside them, so that help answers at once."""
