"""Measurements of what others do, beside Eyas."""
