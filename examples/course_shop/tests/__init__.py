"""The course shop's own tests, with the test kit."""
