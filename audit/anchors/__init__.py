"""Anchors: parties outside this database that keep what was signed. ``configured()`` lists them."""

from audit.anchors.base import Anchor, AnchorError, Head, OtherHistory, Receipt, Statement
from audit.anchors.configured import configured

__all__ = ["Anchor", "AnchorError", "Head", "OtherHistory", "Receipt", "Statement", "configured"]
