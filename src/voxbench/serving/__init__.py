"""Serving: the very cleaning, front end and network of evaluation, behind one call."""
