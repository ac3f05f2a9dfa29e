"""Changes to accounts, groups, roles, tokens, passwords and sessions: one function, one transaction, one entry each."""

from access.actions.accounts import close_account, create_user, reopen_account, set_owner
from access.actions.groups import add_member, close_group, create_group, remove_member, update_group
from access.actions.passwords import change_password, create_sign_in_link, reset_password
from access.actions.roles import grant_role, revoke_role
from access.actions.sessions import close_session, end_sessions, open_session, revoke_session
from access.actions.tokens import create_token, revoke_token

__all__ = [
    "add_member",
    "change_password",
    "close_account",
    "close_group",
    "close_session",
    "create_group",
    "create_sign_in_link",
    "create_token",
    "create_user",
    "end_sessions",
    "grant_role",
    "open_session",
    "remove_member",
    "reopen_account",
    "reset_password",
    "revoke_role",
    "revoke_session",
    "revoke_token",
    "set_owner",
    "update_group",
]
