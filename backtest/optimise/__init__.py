"""The best weights within limits: a quadratic problem in factor form, what gives way where no weights meet all limits, and whole lots."""
