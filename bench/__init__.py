"""Measurements that print ratios against peers. Run by `make bench`; never part of the tests."""
