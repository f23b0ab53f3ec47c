"""The commands under ``flask whop``, one a module; each module has it as ``command``."""
