"""What is wrong: with one request that was rejected, and with an app before it goes live."""
