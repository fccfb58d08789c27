"""From scores to money: strategies, a simulation under the exchange's rules, metrics, the orders of the next session, a report."""
