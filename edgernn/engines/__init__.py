"""Adapters to distributed engines, which keep the streams of many keys as bytes."""
