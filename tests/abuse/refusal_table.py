"""Every act that changes something, and every way in which it is refused, as one table. It is carried out by
test_refusals_recorded.py.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from access import actions
from access.authenticate import actor_of
from access.erasing import LegalBasis, erase_person
from access.models import RoleGrant, User
from access.roles import Role
from audit import export
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.events import Action
from audit.queries import Filter
from erasure.actions import closing, deciding, discovery, execution
from registry import fields
from registry.actions import aliases, checks, data_sets, evidence, models, promotion, tags, versions, webhooks
from registry.actions.webhooks import Changes
from registry.models import DataSet
from registry.states import DecisionKind, EvidenceKind
from tests import erasure_cases, factories
from tests.abuse.refusal_world import Refusal, World, self_granted, spent_link

A = Action
R = Refusal
HALF = "x" * 10_001


def hooked(**said: Any) -> Changes:
    """A webhook that would do, or not."""
    given = {"name": "ci", "url": "https://192.31.195.1/", "events": ["prompt.created"], **said}
    return Changes(**given)


# Each act, done by somebody who may not, and by nobody: (action, type of its object, the act).
ACTS: list[tuple[Action, str, Callable[[World, Actor], Any]]] = [
    (A.USER_CREATE, "installation", lambda w, by: actions.create_user(by=by, username="zoe", password=None)),
    (A.ROLE_GRANT, "user", lambda w, by: actions.grant_role(by=by, user=w.user, role=Role.AUDITOR)),
    (A.ROLE_REVOKE, "user", lambda w, by: actions.revoke_role(by=by, grant=w.grant())),
    (A.LINK_CREATE, "user", lambda w, by: actions.create_sign_in_link(by=by, user=w.user)),
    (A.USER_CLOSE, "user", lambda w, by: actions.close_account(by=by, user=w.user)),
    (A.USER_REOPEN, "user", lambda w, by: actions.reopen_account(by=by, user=w.user)),
    (A.PASSWORD_RESET, "user", lambda w, by: actions.reset_password(by=by, user=w.user)),
    (A.OWNER_SET, "user", lambda w, by: actions.set_owner(by=by, service=w.robot, owner=w.user)),
    (A.GROUP_CREATE, "installation", lambda w, by: actions.create_group(by=by, name="Risk")),
    (A.GROUP_UPDATE, "group", lambda w, by: actions.update_group(by=by, group=w.group, name="x", description="")),
    (A.GROUP_CLOSE, "group", lambda w, by: actions.close_group(by=by, group=w.group)),
    (A.MEMBER_ADD, "user", lambda w, by: actions.add_member(by=by, group=w.group, user=w.user)),
    (A.MEMBER_REMOVE, "user", lambda w, by: actions.remove_member(by=by, group=w.group, user=w.author)),
    (A.ROLE_GRANT, "group", lambda w, by: actions.grant_role(by=by, group=w.group, role=Role.AUDITOR)),
    (A.TOKEN_REVOKE, "user", lambda w, by: actions.revoke_token(by=by, token=w.token)),
    (A.SESSION_REVOKE, "user", lambda w, by: actions.revoke_session(by=by, session=w.session)),
    (A.SESSION_REVOKE, "user", lambda w, by: actions.end_sessions(by=by, user=w.author)),
    (A.PRIVACY_ERASE, "user", lambda w, by: erase_person(by=by, user=w.user, legal_basis=LegalBasis.OBJECTION)),
    (A.MODEL_CREATE, "registered_model", lambda w, by: models.create(by=by, name="new")),
    (A.MODEL_UPDATE, "registered_model", lambda w, by: models.update(by=by, model=w.model, description="x")),
    (A.MODEL_RENAME, "registered_model", lambda w, by: models.rename(by=by, model=w.model, new_name="x")),
    (A.MODEL_DELETE, "registered_model", lambda w, by: models.delete(by=by, model=w.model)),
    (A.MODEL_TAG, "registered_model", lambda w, by: tags.set_model_tag(by=by, model=w.model, key="a", value="b")),
    (A.MODEL_TAG, "registered_model", lambda w, by: tags.delete_model_tag(by=by, model=w.model, key="a")),
    (A.ALIAS_SET, "registered_model", lambda w, by: aliases.set_alias(
        by=by, model=w.model, alias="a", version=w.version)),
    (A.ALIAS_DELETE, "registered_model", lambda w, by: aliases.delete_alias(by=by, model=w.model, alias="a")),
    (A.VERSION_CREATE, "registered_model", lambda w, by: versions.create(by=by, model=w.model, source="runs:/x/y")),
    (A.VERSION_UPDATE, "model_version", lambda w, by: versions.update(by=by, version=w.version, description="x")),
    (A.VERSION_TAG, "model_version", lambda w, by: tags.set_version_tag(by=by, version=w.version, key="a", value="")),
    (A.VERSION_TAG, "model_version", lambda w, by: tags.delete_version_tag(by=by, version=w.version, key="a")),
    (A.VERSION_STAGE, "model_version", lambda w, by: versions.transition(
        by=by, version=w.version, stage="Staging", archive_existing=False)),
    (A.VERSION_DELETE, "model_version", lambda w, by: versions.delete(by=by, version=w.version)),
    (A.DATA_SET_CREATE, "data_set", lambda w, by: w.upload(by)),
    (A.DATA_SET_LINK, "model_version", lambda w, by: data_sets.link(
        by=by, version=w.version, data_set=DataSet.objects.all()[0], role="validation")),
    (A.EVIDENCE_REQUEST, "model_version", lambda w, by: evidence.request_report(
        by=by, version=w.version, kind=EvidenceKind.ARTIFACT)),
    (A.ARTIFACT_CHECK, "model_version", lambda w, by: checks.ask(by=by, version=w.version)),
    (A.WEBHOOK_CREATE, "installation", lambda w, by: webhooks.create(by=by, changes=hooked())),
    (A.WEBHOOK_UPDATE, "webhook", lambda w, by: webhooks.update(by=by, hook=w.hook, changes=Changes(name="x"))),
    (A.WEBHOOK_UPDATE, "webhook", lambda w, by: webhooks.update(by=by, hook=w.hook, changes=hooked())),
    (A.WEBHOOK_DELETE, "webhook", lambda w, by: webhooks.delete(by=by, hook=w.hook)),
    (A.WEBHOOK_TEST, "webhook", lambda w, by: webhooks.send_test(by=by, hook=w.hook)),
    (A.WEBHOOK_REDELIVER, "webhook", lambda w, by: webhooks.redeliver(by=by, hook=w.hook, sent=w.sent)),
    (A.PROMOTION_REQUEST, "model_version", lambda w, by: w.file(by)),
    (A.PROMOTION_REQUEST, "promotion_request", lambda w, by: promotion.resubmit(by=by, request=w.request, comment="")),
    (A.PROMOTION_DECIDE, "promotion_request", lambda w, by: w.decide(by)),
    (A.PROMOTION_APPLY, "promotion_request", lambda w, by: promotion.apply(
        by=by, request=w.request, subject_digest=w.digest)),
    (A.PROMOTION_WITHDRAW, "promotion_request", lambda w, by: promotion.withdraw(by=by, request=w.request)),
    (A.TRAIL_EXPORT, "trail", lambda w, by: export.export(by=by, chosen=Filter(), out=io.BytesIO())),
    (A.ERASURE_FILE, "erasure_request", lambda w, by: erasure_cases.file(by, external_id="case-9")),
    (A.ERASURE_DISCOVER, "erasure_request", lambda w, by: discovery.again(by=by, request=w.erasure)),
    (A.ERASURE_APPROVE, "erasure_request", lambda w, by: deciding.approve(
        by=by, request=w.erasure, plan_digest="0" * 64)),
    (A.ERASURE_REFUSE, "erasure_request", lambda w, by: deciding.refuse(by=by, request=w.erasure, reason="x")),
    (A.ERASURE_CANCEL, "erasure_request", lambda w, by: deciding.cancel(by=by, request=w.erasure, reason="x")),
    (A.ERASURE_EXECUTE, "erasure_request", lambda w, by: execution.again(by=by, request=w.erasure)),
    (A.ERASURE_SIGN, "erasure_request", lambda w, by: closing.sign_off(by=by, request=w.erasure)),
]  # fmt: skip
# Open to every account, so only nobody is refused.
ANYONE: list[tuple[Action, str, Callable[[World, Actor], Any]]] = [
    (A.TOKEN_CREATE, "user", lambda w, by: actions.create_token(by=by, user=w.user, name="ci")),
    (A.PASSWORD_CHANGE, "user", lambda w, by: actions.change_password(by=by, current=None, new="x" * 20)),
    (A.SESSION_OPEN, "user", lambda w, by: actions.open_session(by=by)),
    (A.SESSION_CLOSE, "user", lambda w, by: actions.close_session(by=by)),
]  # fmt: skip
# Plimsoll's own, which no account may do.
OWN: list[tuple[Action, str, Callable[[World, Actor], Any]]] = [
    (A.EVIDENCE_ATTACH, "model_version", lambda w, by: evidence.attach(
        by=by, job=w.job(), fence=0, finding=evidence.failed(EvidenceKind.ARTIFACT, None, "No."))),
    (A.JOB_FAIL, "model_version", lambda w, by: evidence.give_up(by=by, job=w.job(), fence=0, sentence="No.")),
]  # fmt: skip

# By somebody who may do such a thing, but not this, not so, or not now.
REFUSALS: list[Refusal] = [
    R(A.USER_CREATE, "bad_username", "installation", lambda w, _: w.admin("a b")),
    R(A.USER_CREATE, "bad_username", "installation", lambda w, _: w.admin("x" * 151)),
    R(A.USER_CREATE, "bad_username", "installation", lambda w, _: w.admin("zoe\n")),
    R(A.USER_CREATE, "username_taken", "installation", lambda w, _: w.admin("REX"), lambda w: w.admin("rex")),
    R(A.USER_CREATE, "weak_password", "installation", lambda w, _: w.admin("zoe", "short")),
    R(A.USER_CREATE, "bad_name", "installation", lambda w, _: w.admin(display_name="x" * 151)),
    R(A.USER_CREATE, "bad_name", "installation", lambda w, _: w.admin(display_name="a\x00b")),
    R(A.USER_CREATE, "bad_name", "installation", lambda w, _: w.admin(email="x" * 250 + "@x.org")),
    R(A.ROLE_GRANT, "role_held", "user", lambda w, _: actions.grant_role(by=w.boss, user=w.user, role=Role.VIEWER)),
    R(A.ROLE_GRANT, "bad_until", "user", lambda w, _: actions.grant_role(
        by=w.boss, user=w.user, role=Role.AUDITOR, until=now())),
    *[
        R(A.ROLE_GRANT, "bad_pattern", "user", lambda w, _, pattern=pattern: actions.grant_role(
            by=w.boss, user=w.user, role=Role.AUDITOR, pattern=pattern))
        for pattern in ("", "x" * 257, "a\x00b", "[ab]", "a\nb", "e\u0301", "\u202eabc", "\ud800")
    ],
    R(A.ROLE_REVOKE, "not_found", "user", lambda w, grant: actions.revoke_role(by=w.boss, grant=grant),
      lambda w: (grant := w.grant(), actions.revoke_role(by=w.boss, grant=grant))[0]),
    R(A.ROLE_REVOKE, "last_administrator", "user", lambda w, last: actions.revoke_role(by=w.boss, grant=last),
      World.last_administrator),
    R(A.ROLE_GRANT, "group_closed", "group", lambda w, _: actions.grant_role(
        by=w.boss, group=w.group, role=Role.AUDITOR), World.closed_group),
    R(A.ROLE_GRANT, "role_held", "group", lambda w, _: actions.grant_role(
        by=w.boss, group=w.group, role=Role.VIEWER), lambda w: actions.grant_role(
        by=w.boss, group=w.group, role=Role.VIEWER)),
    R(A.USER_CREATE, "bad_username", "installation", lambda w, _: w.admin("Erased-1")),
    R(A.USER_CREATE, "service_password", "installation", lambda w, _: w.admin(
        password="a-long-pass-phrase-1", is_service=True)),
    R(A.USER_CREATE, "bad_owner", "installation", lambda w, _: w.admin(owner=w.author)),
    R(A.USER_CREATE, "bad_owner", "installation", lambda w, _: w.admin(is_service=True, owner=w.robot)),
    R(A.OWNER_SET, "bad_owner", "user", lambda w, _: actions.set_owner(by=w.boss, service=w.user, owner=w.author)),
    R(A.OWNER_SET, "bad_owner", "user", lambda w, _: actions.set_owner(by=w.boss, service=w.robot, owner=w.robot)),
    R(A.OWNER_SET, "owner_already", "user", lambda w, _: actions.set_owner(
        by=w.boss, service=w.robot, owner=w.author)),
    R(A.USER_CLOSE, "own_account", "user", lambda w, _: actions.close_account(
        by=w.boss, user=User.objects.get(pk=w.boss.account))),
    R(A.USER_CLOSE, "last_administrator", "user", lambda w, _: actions.close_account(
        by=SYSTEM, user=User.objects.get(pk=w.boss.account)), World.last_administrator),
    R(A.USER_CLOSE, "closed_already", "user", lambda w, _: actions.close_account(by=w.boss, user=w.user),
      lambda w: actions.close_account(by=w.boss, user=w.user)),
    R(A.USER_REOPEN, "open_already", "user", lambda w, _: actions.reopen_account(by=w.boss, user=w.user)),
    R(A.USER_REOPEN, "erased_already", "user", lambda w, _: actions.reopen_account(by=w.boss, user=w.user),
      lambda w: erase_person(by=w.olga, user=w.user, legal_basis=LegalBasis.OBJECTION)),
    R(A.PASSWORD_RESET, "service_password", "user", lambda w, _: actions.reset_password(by=w.boss, user=w.robot)),
    R(A.PASSWORD_RESET, "account_closed", "user", lambda w, _: actions.reset_password(by=w.boss, user=w.user),
      lambda w: actions.close_account(by=w.boss, user=w.user)),
    R(A.LINK_CREATE, "service_password", "user", lambda w, _: actions.create_sign_in_link(by=w.boss, user=w.robot)),
    R(A.PASSWORD_CHANGE, "weak_password", "user", lambda w, _: actions.change_password(
        by=w.own, current=None, new="short")),
    R(A.PASSWORD_CHANGE, "service_password", "user", lambda w, _: actions.change_password(
        by=actor_of(w.robot, "bearer"), current=None, new="a-long-pass-phrase-1")),
    R(A.GROUP_CREATE, "group_exists", "installation", lambda w, _: actions.create_group(
        by=w.boss, name=w.group.name.upper())),
    *[
        R(A.GROUP_CREATE, code, "installation", lambda w, _, said=said: actions.create_group(by=w.boss, **said))
        for code, said in (("bad_group_name", {"name": " "}), ("bad_group_name", {"name": "x" * 101}),
                           ("bad_group_name", {"name": "a\nb"}), ("bad_text", {"name": "a", "description": "x" * 1001}))
    ],
    R(A.GROUP_UPDATE, "group_closed", "group", lambda w, _: actions.update_group(
        by=w.boss, group=w.group, name="x", description=""), World.closed_group),
    R(A.GROUP_CLOSE, "group_closed", "group", lambda w, _: actions.close_group(by=w.boss, group=w.group),
      World.closed_group),
    R(A.MEMBER_ADD, "member_already", "user", lambda w, _: actions.add_member(
        by=w.boss, group=w.group, user=w.author)),
    R(A.MEMBER_ADD, "group_closed", "user", lambda w, _: actions.add_member(
        by=w.boss, group=w.group, user=w.user), World.closed_group),
    R(A.MEMBER_ADD, "account_closed", "user", lambda w, _: actions.add_member(
        by=w.boss, group=w.group, user=w.user), lambda w: actions.close_account(by=w.boss, user=w.user)),
    R(A.MEMBER_REMOVE, "not_found", "user", lambda w, _: actions.remove_member(
        by=w.boss, group=w.group, user=w.user)),
    R(A.SESSION_REVOKE, "not_found", "user", lambda w, _: actions.revoke_session(by=w.boss, session=w.session),
      lambda w: actions.revoke_session(by=w.boss, session=w.session)),
    R(A.TOKEN_CREATE, "not_own", "user", lambda w, _: actions.create_token(by=w.boss, user=w.user, name="x")),
    R(A.TOKEN_CREATE, "not_own", "user", lambda w, _: actions.create_token(by=w.boss, user=w.robot, name="x")),
    R(A.TOKEN_CREATE, "token_scope", "user", lambda w, _: actions.create_token(
        by=replace(w.own, token_scope="registry"), user=w.user, name="x")),
    R(A.MODEL_CREATE, "token_scope", "registered_model", lambda w, _: models.create(
        by=replace(w.ana, token_scope="read"), name="new")),
    R(A.PROMOTION_DECIDE, "token_scope", "promotion_request", lambda w, _: w.decide(
        replace(w.rex, token_scope="registry"))),
    R(A.TOKEN_CREATE, "bad_name", "user", lambda w, _: actions.create_token(by=w.own, user=w.user, name=" ")),
    R(A.TOKEN_CREATE, "bad_name", "user", lambda w, _: actions.create_token(by=w.own, user=w.user, name="x" * 101)),
    R(A.TOKEN_CREATE, "bad_expiry", "user", lambda w, _: actions.create_token(
        by=w.own, user=w.user, name="x", expires_at=now() - timedelta(days=1))),
    R(A.TOKEN_REVOKE, "not_found", "user", lambda w, _: actions.revoke_token(by=w.boss, token=w.token),
      lambda w: actions.revoke_token(by=w.boss, token=w.token)),
    R(A.SESSION_OPEN, "spent_link", "user", lambda w, secret: actions.open_session(by=w.own, link=secret),
      spent_link),
    R(A.MODEL_CREATE, "name_taken", "registered_model", lambda w, _: models.create(by=w.ana, name="credit")),
    *[
        R(A.MODEL_CREATE, code, "registered_model", lambda w, _, name=name: models.create(by=w.ana, name=name))
        for name, code in (("", "missing"), ("x" * 257, "too_long"), ("a/b", "bad_name"), ("..", "bad_name"),
                           ("a\nb", "bad_name"), ("e\u0301", "bad_name"), ("a\x00b", "bad_text"))
    ],
    R(A.MODEL_RENAME, "live_request", "registered_model", lambda w, _: models.rename(
        by=w.ana, model=w.model, new_name="other")),
    R(A.MODEL_DELETE, "has_promotions", "registered_model", lambda w, _: models.delete(by=w.ana, model=w.model)),
    R(A.ALIAS_SET, "protected_alias", "registered_model", lambda w, _: aliases.set_alias(
        by=w.ana, model=w.model, alias="Champion", version=w.version)),
    R(A.ALIAS_SET, "not_found", "registered_model", lambda w, gone: aliases.set_alias(
        by=w.ana, model=w.model, alias="next", version=gone), World.deleted),
    R(A.ALIAS_DELETE, "protected_alias", "registered_model", lambda w, _: aliases.delete_alias(
        by=w.ana, model=w.model, alias="production")),
    R(A.VERSION_CREATE, "foreign_source", "registered_model", lambda w, _: versions.create(
        by=w.ana, model=w.model, source="sftp://elsewhere/model")),
    R(A.VERSION_CREATE, "climbing_source", "registered_model", lambda w, _: versions.create(
        by=w.ana, model=w.model, source="mlflow-artifacts:/%2e%2e/etc")),
    R(A.VERSION_CREATE, "bad_source", "registered_model", lambda w, _: versions.create(
        by=w.ana, model=w.model, source="x", tags={fields.PROMPT_TAG: "true"})),
    R(A.VERSION_CREATE, "too_long", "registered_model", lambda w, _: versions.create(
        by=w.ana, model=w.model, source="dummy-source", run_link="x" * 501, tags={fields.PROMPT_TAG: "true"})),
    R(A.VERSION_UPDATE, "too_long", "model_version", lambda w, _: versions.update(
        by=w.ana, version=w.version, description="x" * 5_001)),
    R(A.VERSION_UPDATE, "not_found", "model_version", lambda w, gone: versions.update(
        by=w.ana, version=gone, description="x"), World.deleted),
    R(A.VERSION_TAG, "bad_key", "model_version", lambda w, _: tags.set_version_tag(
        by=w.ana, version=w.version, key="../a", value="")),
    R(A.VERSION_STAGE, "protected_stage", "model_version", lambda w, _: versions.transition(
        by=w.ana, version=w.version, stage="Production", archive_existing=True)),
    R(A.VERSION_STAGE, "protected_stage", "model_version", lambda w, _: versions.transition(
        by=w.ana, version=w.version, stage="None", archive_existing=False), World.applied),
    R(A.VERSION_STAGE, "unknown_stage", "model_version", lambda w, _: versions.transition(
        by=w.ana, version=w.version, stage="Moon", archive_existing=False)),
    R(A.VERSION_DELETE, "live_request", "model_version", lambda w, _: versions.delete(by=w.ana, version=w.version)),
    R(A.VERSION_DELETE, "frozen", "model_version", lambda w, _: versions.delete(
        by=w.ana, version=w.version), World.applied),
    R(A.VERSION_UPDATE, "frozen", "model_version", lambda w, _: versions.update(
        by=w.ana, version=w.version, description="x"), World.applied),
    R(A.VERSION_TAG, "frozen", "model_version", lambda w, _: tags.set_version_tag(
        by=w.ana, version=w.version, key="team", value="x"), World.applied),
    R(A.DATA_SET_CREATE, "data_set_exists", "data_set", lambda w, _: w.upload(w.ana), lambda w: w.upload(w.ana)),
    *[
        R(A.DATA_SET_CREATE, code, "data_set", lambda w, _, said=said: w.upload(w.ana, **said))
        for code, said in (
            ("no_name", {"name": " "}), ("too_long", {"name": "x" * 257}), ("bad_name", {"name": "a/b"}),
            ("bad_name", {"name": "\ud800"}), ("unknown_role", {"role": "testing"}), ("empty_file", {"content": b""}),
            ("no_rows", {"content": b"id,age\n"}), ("unreadable_table", {"content": b"PAR1 and noise"}),
            ("unknown_column", {"label": "colour"}), ("bad_digest", {"mlflow_digest": "x" * 65}),
            ("no_favourable_row", {"label": "age", "favourable": 9}), ("no_label", {"favourable": 1}),
            ("bad_identifier", {"identifiers": {"id": "iris"}}), ("bad_attribute", {"protected": [{"a": 1}]}),
        )
    ],
    R(A.DATA_SET_LINK, "linked", "model_version", lambda w, _: data_sets.link(
        by=w.ana, version=w.version, data_set=DataSet.objects.get(role="training"), role="training")),
    R(A.DATA_SET_LINK, "unknown_role", "model_version", lambda w, _: data_sets.link(
        by=w.ana, version=w.version, data_set=DataSet.objects.get(role="training"), role="testing")),
    R(A.DATA_SET_LINK, "not_found", "model_version", lambda w, gone: data_sets.link(
        by=w.ana, version=gone, data_set=DataSet.objects.get(role="training"), role="training"), World.deleted),
    R(A.EVIDENCE_REQUEST, "inputs_lacking", "model_version", lambda w, bare: evidence.request_report(
        by=w.ana, version=bare, kind=EvidenceKind.FAIRNESS), World.bare),
    R(A.EVIDENCE_REQUEST, "not_found", "model_version", lambda w, gone: evidence.request_report(
        by=w.ana, version=gone, kind=EvidenceKind.ARTIFACT), World.deleted),
    *[
        R(A.WEBHOOK_CREATE, code, "installation", lambda w, _, said=said: webhooks.create(
            by=w.boss, changes=hooked(**said)))
        for code, said in (
            ("bad_name", {"name": "-"}), ("bad_name", {"name": ""}), ("bad_url", {"url": "http://192.31.195.1/"}),
            ("bad_url", {"url": ""}), ("private_address", {"url": "https://[::ffff:10.0.0.1]/"}),
            ("too_long", {"description": "x" * 1_001}), ("bad_secret", {"secret": "a\x00b"}),
            ("bad_secret", {"standard": True}), ("bad_status", {"status": "active"}), ("missing", {"events": []}),
            ("unknown_event", {"events": ["moon.rises"]}), ("role_missing", {"events": ["erasure.executed"]}),
        )
    ],
    R(A.WEBHOOK_UPDATE, "private_address", "webhook", lambda w, _: webhooks.update(
        by=w.boss, hook=w.hook, changes=hooked(url="https://127.0.0.1/"))),
    R(A.WEBHOOK_UPDATE, "role_missing", "webhook", lambda w, _: webhooks.update(
        by=w.boss, hook=w.hook, changes=Changes(events=["erasure.completed"]))),
    R(A.WEBHOOK_UPDATE, "not_found", "webhook", lambda w, _: webhooks.update(
        by=w.boss, hook=w.hook, changes=Changes(name="x")), World.unhooked),
    R(A.WEBHOOK_DELETE, "not_found", "webhook", lambda w, _: webhooks.delete(by=w.boss, hook=w.hook), World.unhooked),
    R(A.WEBHOOK_TEST, "unknown_event", "webhook", lambda w, _: webhooks.send_test(
        by=w.boss, hook=w.hook, event="moon.rises")),
    R(A.WEBHOOK_REDELIVER, "waits_already", "webhook", lambda w, _: webhooks.redeliver(
        by=w.boss, hook=w.hook, sent=w.sent)),
    R(A.PROMOTION_REQUEST, "unknown_stage", "model_version", lambda w, _: w.file(w.ana, stage="Staging")),
    R(A.PROMOTION_REQUEST, "no_justification", "model_version", lambda w, _: w.file(w.ana, why=" \n")),
    R(A.PROMOTION_REQUEST, "too_long", "model_version", lambda w, _: w.file(w.ana, why=HALF)),
    R(A.PROMOTION_REQUEST, "bad_text", "model_version", lambda w, _: w.file(w.ana, why="a\x00b")),
    R(A.PROMOTION_REQUEST, "live_request", "model_version", lambda w, _: w.file(w.ana)),
    R(A.PROMOTION_REQUEST, "live_request", "model_version", lambda w, bare: w.file(w.bea, bare), World.bare),
    R(A.PROMOTION_REQUEST, "already_there", "model_version", lambda w, _: w.file(w.ana), World.applied),
    R(A.PROMOTION_REQUEST, "not_found", "model_version", lambda w, gone: w.file(w.ana, gone), World.deleted),
    R(A.PROMOTION_REQUEST, "nobody_can_decide", "model_version", lambda w, _: w.file(w.ana), lambda w: (
        w.withdrawn(), [actions.revoke_role(by=w.boss, grant=g) for g in RoleGrant.objects.filter(role="reviewer")])),
    R(A.PROMOTION_REQUEST, "role_missing", "model_version", lambda w, _: w.file(w.fraud)),
    R(A.PROMOTION_REQUEST, "wrong_state", "promotion_request", lambda w, _: promotion.resubmit(
        by=w.ana, request=w.request, comment="")),
    R(A.PROMOTION_REQUEST, "wrong_state", "promotion_request", lambda w, _: promotion.resubmit(
        by=w.ana, request=w.request, comment=""), lambda w: (w.changes_requested(), w.expired())),
    R(A.PROMOTION_REQUEST, "not_yours", "promotion_request", lambda w, asked: promotion.resubmit(
        by=w.bea, request=asked, comment=""), World.changes_requested),
    R(A.PROMOTION_REQUEST, "too_long", "promotion_request", lambda w, asked: promotion.resubmit(
        by=w.ana, request=asked, comment=HALF), World.changes_requested),
    R(A.PROMOTION_DECIDE, "not_independent_requester", "promotion_request", lambda w, _: w.decide(
        actor_of(w.author, "session")),
      lambda w: actions.grant_role(by=w.boss, user=w.author, role=Role.REVIEWER)),
    R(A.PROMOTION_DECIDE, "not_independent_self_granted", "promotion_request", lambda w, user: w.decide(
        actor_of(user, "session")), lambda w: self_granted(Role.REVIEWER)),
    R(A.PROMOTION_DECIDE, "role_missing", "promotion_request", lambda w, _: w.decide(w.fraud)),
    R(A.PROMOTION_DECIDE, "stale_digest", "promotion_request", lambda w, _: w.decide(w.rex, digest="0" * 64)),
    R(A.PROMOTION_DECIDE, "stale_digest", "promotion_request", lambda w, _: w.decide(w.rex), World.moved),
    R(A.PROMOTION_DECIDE, "no_comment", "promotion_request", lambda w, _: w.decide(w.rex, DecisionKind.REJECT)),
    R(A.PROMOTION_DECIDE, "no_comment", "promotion_request", lambda w, _: w.decide(
        w.rex, DecisionKind.REQUEST_CHANGES, comment=" ")),
    R(A.PROMOTION_DECIDE, "too_long", "promotion_request", lambda w, _: w.decide(w.rex, comment=HALF)),
    R(A.PROMOTION_DECIDE, "bad_text", "promotion_request", lambda w, _: w.decide(w.rex, comment="a\x00b")),
    R(A.PROMOTION_DECIDE, "wrong_state", "promotion_request", lambda w, _: w.decide(w.rex), World.approved),
    R(A.PROMOTION_DECIDE, "wrong_state", "promotion_request", lambda w, _: w.decide(w.rex), World.applied),
    R(A.PROMOTION_DECIDE, "wrong_state", "promotion_request", lambda w, _: w.decide(w.rex), World.withdrawn),
    R(A.PROMOTION_DECIDE, "wrong_state", "promotion_request", lambda w, _: w.decide(w.rex), World.expired),
    R(A.PROMOTION_DECIDE, "evidence_missing", "promotion_request", lambda w, asked: w.decide(
        w.rex, request=asked, digest=asked.subject_digest),
      lambda w: (w.withdrawn(), w.file(w.ana, w.bare()))[1]),
    R(A.PROMOTION_APPLY, "not_appliable", "promotion_request", lambda w, _: promotion.apply(
        by=w.ana, request=w.request, subject_digest=w.digest)),
    R(A.PROMOTION_APPLY, "not_appliable", "promotion_request", lambda w, asked: promotion.apply(
        by=w.ana, request=asked, subject_digest=w.digest), World.withdrawn),
    R(A.PROMOTION_APPLY, "stale_digest", "promotion_request", lambda w, asked: promotion.apply(
        by=w.ana, request=asked, subject_digest="0" * 64), World.approved),
    R(A.PROMOTION_APPLY, "stale_digest", "promotion_request", lambda w, asked: promotion.apply(
        by=w.ana, request=asked, subject_digest=w.digest), lambda w: (w.approved(), w.moved())[0]),
    R(A.PROMOTION_WITHDRAW, "not_yours", "promotion_request", lambda w, _: promotion.withdraw(
        by=w.bea, request=w.request)),
    R(A.PROMOTION_WITHDRAW, "wrong_state", "promotion_request", lambda w, asked: promotion.withdraw(
        by=w.ana, request=asked), World.applied),
    R(A.PROMOTION_WITHDRAW, "too_long", "promotion_request", lambda w, _: promotion.withdraw(
        by=w.ana, request=w.request, comment=HALF)),
    R(A.TRAIL_EXPORT, "bad_filter", "trail", lambda w, auditor: export.export(
        by=auditor, chosen=Filter(log="nowhere"), out=io.BytesIO()), lambda w: factories.actor(Role.AUDITOR)),
    R(A.TRAIL_EXPORT, "bad_filter", "trail", lambda w, auditor: export.export(
        by=auditor, chosen=Filter(log="a\x00"), out=io.BytesIO()), lambda w: factories.actor(Role.AUDITOR)),
    R(A.PRIVACY_ERASE, "own_account", "user", lambda w, _: erase_person(
        by=w.olga, user=User.objects.get(pk=w.olga.account), legal_basis=LegalBasis.OBJECTION)),
    R(A.PRIVACY_ERASE, "bad_reason", "user", lambda w, _: erase_person(
        by=w.olga, user=w.user, legal_basis=LegalBasis.OBJECTION, reason=HALF)),
    R(A.ERASURE_FILE, "external_id_taken", "erasure_request", lambda w, _: erasure_cases.file(
        w.olga, ground="17(1)(a)")),
    R(A.ERASURE_FILE, "bad_country", "erasure_request", lambda w, _: erasure_cases.file(w.olga, country="Germany")),
    R(A.ERASURE_APPROVE, "not_independent_filer", "erasure_request", lambda w, plan: deciding.approve(
        by=w.olga, request=plan, plan_digest=plan.plan_digest), World.planned),
    R(A.ERASURE_APPROVE, "stale_digest", "erasure_request", lambda w, found: deciding.approve(
        by=found[0], request=found[1], plan_digest="0" * 64), lambda w: (erasure_cases.officer(), w.planned())),
    R(A.ERASURE_REFUSE, "not_independent_filer", "erasure_request", lambda w, _: deciding.refuse(
        by=w.olga, request=w.erasure, reason="x")),
    R(A.ERASURE_CANCEL, "no_reason", "erasure_request", lambda w, _: deciding.cancel(
        by=w.olga, request=w.erasure, reason=" ")),
    R(A.ERASURE_EXECUTE, "wrong_state", "erasure_request", lambda w, _: execution.again(by=w.olga, request=w.erasure)),
    R(A.ERASURE_SIGN, "wrong_state", "erasure_request", lambda w, other: closing.sign_off(
        by=other, request=w.erasure), lambda w: erasure_cases.officer()),
]  # fmt: skip
