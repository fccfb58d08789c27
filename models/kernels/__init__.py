"""The ranker's operations one by one: the mathematics in plain torch, and Triton kernels that must agree with it.  Imports torch and triton alone."""
