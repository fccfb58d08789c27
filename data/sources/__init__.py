"""Vendors of market data, one module each behind the same functions: their columns and units end here."""
