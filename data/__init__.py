"""Market data: the lake, its tables, the exchange's calendar and rules, imports, checks and the simulator."""
