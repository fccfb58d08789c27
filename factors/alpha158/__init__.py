"""Alpha158, Qlib's features: definitions beside the library's, and a fused kernel that gives all of them in one pass."""
