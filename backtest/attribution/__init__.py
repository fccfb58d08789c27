"""Where every cent of an account's excess over its benchmark came from."""
