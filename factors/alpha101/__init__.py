"""Alpha101."""
