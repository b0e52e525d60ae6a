"""Measurements that anyone can repeat: run each module from the checkout with python -m."""
