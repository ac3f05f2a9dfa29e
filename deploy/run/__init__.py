"""Starts, supervises and stops one installation on one machine. No Django here: each part is its own process."""
