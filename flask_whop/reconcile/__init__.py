"""Keeps both sides the same: the webhook at Whop and the receivers here, its delivery log and our store."""
