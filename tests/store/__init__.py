"""Tests of what is published and indexed, and of the commands that look after it."""
