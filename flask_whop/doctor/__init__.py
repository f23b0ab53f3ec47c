"""What is wrong: with one request that was rejected, and with an app before it goes live.

The texts are in ``diagnosis/mistakes.py`` (requests) and ``checkup/catalog.py`` (apps).
"""
