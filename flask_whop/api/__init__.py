"""Whop's API, as far as its webhooks go: the calls, what they answer, and what to change at Whop.

Nothing of it is imported to receive deliveries. It needs httpx: ``pip install "flask-whop[api]"``.
"""
