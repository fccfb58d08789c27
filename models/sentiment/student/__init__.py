"""Students: small models that score the daily bulk of news on a CPU, trained from scratch on labels or on a teacher's probabilities."""
