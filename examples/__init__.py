"""Examples of flask-whop, each to be run from a clone of the repository."""
