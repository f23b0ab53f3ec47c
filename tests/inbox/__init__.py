"""Tests of the inbox: what people see on it, and who may."""
