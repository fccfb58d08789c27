"""The ranker's operations one by one, in plain torch: what every faster version must agree with.  Imports torch alone."""
