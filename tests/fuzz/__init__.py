"""Inputs that are broken in 1,000 ways: each loads correctly or is refused with a clear error."""
