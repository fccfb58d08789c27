"""Alpha101: WorldQuant's formulas under their names, alpha001 to alpha101.  (Kakushadze 2016, "101 Formulaic Alphas", arXiv 1601.00991)

Where the paper leaves a choice:

* Windows that are fractions are floored, as the paper says.  ts_argmax and ts_argmin number a window's sessions 1 … d, the first of equals.
* returns are close to close, over a suspension at its end and null within it; cap is the market value of all shares.
* adv{d} is the mean daily amount, CNY.  Where a formula holds it against volume (7, 17, 21, 39, 43, 47, 100) the volume is the amount, so
  that both are money.  sum(x, d) / d is the mean of the sessions that have a value.
* sector, industry and subindustry are the one classification that a lake has; a lake without one as of the date can't feed INDUSTRY.
* max and min of two series are elementwise, of a series and a number they are windows.  A choice (a ? b : c) is null where any part is.
* Nulls and windows follow factors/operators.py: a window needs half of its sessions, a correlation three (two of two).

All but UNMOVED hold prices or shares of different stocks against each other, or prices against plain numbers: rank(close), close - vwap.
Adjusted prices are known up to a constant a stock that later dividends decide, so these exist on raw prices alone (raw_only).
"""

# Unmoved when a stock's price history is multiplied by a constant.
UNMOVED = (2, 6, 7, 14, 19, 21, 26, 30, 33, 35, 38, 43, 48, 53, 54, 56, 72, 85, 99)

# Neutral to the industry.
INDUSTRY = (48, 58, 59, 63, 67, 69, 70, 76, 79, 80, 82, 87, 89, 90, 91, 93, 97, 100)

# Sums of prices and plain numbers, or thresholds in CNY: another currency orders the stocks differently, by the paper's own definition.
IN_YUAN = (18, 28, 46, 49, 51, 101)
