"""The fake Whop: what happens there, what its API answers, and the server that listens."""
