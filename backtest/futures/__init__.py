"""A long book hedged with index futures: contracts, terms by date, the margin account, and where every cent came from."""
