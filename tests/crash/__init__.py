"""Real servers and workers, killed with SIGKILL at every step, while a sender retries as Whop does."""
