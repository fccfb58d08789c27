"""What a book may do tomorrow, from what is known at a close: two models of the covariance of returns, and how well they foretold it."""
