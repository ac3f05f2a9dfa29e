"""People, and one of everything they could be refused on, made through the actions."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from access import actions
from access.authenticate import actor_of
from access.models import RoleGrant, SignInLink
from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.events import Action
from registry.actions import data_sets, evidence, models, promotion, versions, webhooks
from registry.models import DataSet, Job, ModelVersion, PromotionRequest
from registry.states import DecisionKind, EvidenceKind
from tests import erasure_cases, factories
from tests.registry import hook_cases
from tests.web.rest.test_promotion_api import version_of


class World:
    """People, and one of everything they could be refused on."""

    def __init__(self) -> None:
        self.author = factories.account(Role.DATA_SCIENTIST)
        self.ana = actor_of(self.author, "session")
        self.bea = factories.actor(Role.DATA_SCIENTIST)
        self.rex, self.viewer = factories.actor(Role.REVIEWER), factories.actor(Role.VIEWER)
        self.boss = factories.actor(Role.ADMINISTRATOR)
        self.olga = factories.actor(Role.COMPLIANCE_OFFICER)
        self.fraud = factories.actor(Role.DATA_SCIENTIST, Role.REVIEWER, pattern="fraud-*")
        self.user = factories.account(Role.VIEWER)
        self.own = actor_of(self.user, "session")
        self.robot = actions.create_user(by=SYSTEM, username="robot", password=None, is_service=True, owner=self.author)
        self.group = actions.create_group(by=SYSTEM, name="Validation")
        actions.add_member(by=SYSTEM, group=self.group, user=self.author)
        self.token, _ = actions.create_token(by=SYSTEM, user=self.author, name="laptop")
        self.session = actions.open_session(by=self.ana)
        self.version = version_of(self.author)
        self.model = self.version.model
        self.request = promotion.open_request(
            by=self.ana, version=self.version, target_stage="Production", justification="Better."
        )
        self.digest = self.request.subject_digest
        self.erasure = erasure_cases.file(self.olga)
        self.hook = hook_cases.turncoat()
        models.create(by=self.bea, name="told")
        self.sent = self.hook.deliveries.get()

    def closed_group(self) -> None:
        actions.close_group(by=self.boss, group=self.group)

    def last_administrator(self) -> RoleGrant:
        """The boss's grant, when nobody else has one."""
        every = RoleGrant.objects.filter(role="administrator", revoked_at=None)
        for other in every.exclude(user_id=self.boss.account):
            actions.revoke_role(by=SYSTEM, grant=other)
        return every.get()

    def grant(self) -> RoleGrant:
        return RoleGrant.objects.get(user=self.user)

    def approved(self) -> PromotionRequest:
        self.decide(self.rex)
        return PromotionRequest.objects.get(pk=self.request.pk)

    def applied(self) -> PromotionRequest:
        promotion.apply(by=self.ana, request=self.approved(), subject_digest=self.digest)
        return PromotionRequest.objects.get(pk=self.request.pk)

    def withdrawn(self) -> PromotionRequest:
        return promotion.withdraw(by=self.ana, request=self.request)

    def changes_requested(self) -> PromotionRequest:
        self.decide(self.rex, DecisionKind.REQUEST_CHANGES, comment="Why?")
        return PromotionRequest.objects.get(pk=self.request.pk)

    def expired(self) -> PromotionRequest:
        with door.open(SYSTEM, Action.JOB_FAIL, on=self.request) as entry:
            PromotionRequest.objects.filter(pk=self.request.pk).update(expires_at=now())
            entry.record()
        return PromotionRequest.objects.get(pk=self.request.pk)

    def moved(self) -> None:
        versions.update(by=self.ana, version=self.version, description="With caveats.")

    def bare(self) -> ModelVersion:
        return version_of(self.author, number=2, complete=False)

    def deleted(self) -> ModelVersion:
        version = self.bare()
        versions.delete(by=self.ana, version=version)
        return version

    def unhooked(self) -> None:
        webhooks.delete(by=self.boss, hook=self.hook)

    def planned(self) -> Any:
        return erasure_cases.planned(self.olga, external_id="case-2")

    def decide(
        self,
        by: Actor,
        kind: DecisionKind = DecisionKind.APPROVE,
        *,
        digest: str = "",
        comment: str = "",
        request: PromotionRequest | None = None,
    ) -> Any:
        return promotion.decide(
            by=by, request=request or self.request, kind=kind, subject_digest=digest or self.digest, comment=comment
        )

    def file(self, by: Actor, version: ModelVersion | None = None, stage: str = "Production", why: str = "x") -> Any:
        return promotion.open_request(by=by, version=version or self.version, target_stage=stage, justification=why)

    def upload(self, by: Actor, content: bytes = b"id,age\n1,2\n", **said: Any) -> DataSet:
        given = {"name": "rows", "filename": "a.csv", "role": "training", **said}
        return data_sets.register(by=by, content=io.BytesIO(content), **given)

    def admin(self, username: str = "zoe", password: str | None = None, **more: Any) -> Any:
        return actions.create_user(by=self.boss, username=username, password=password, **more)

    def job(self) -> Job:
        return evidence.request_report(by=self.ana, version=self.version, kind=EvidenceKind.ARTIFACT)


Act = Callable[[World], Any]


@dataclass(frozen=True)
class Refusal:
    """``arrange`` prepares; ``act`` is refused with ``code`` and recorded on an object of the type ``on``."""

    action: Action
    code: str
    on: str
    act: Callable[[World, Any], Any]
    arrange: Act = lambda world: None

    def __str__(self) -> str:
        return f"{self.action.value}-{self.code}"


def spent_link(world: World) -> str:
    """A secret that is read, and spent between that and its use."""
    secret = actions.create_sign_in_link(by=world.boss, user=world.user)
    actions.open_session(by=world.own, link=secret)
    assert SignInLink.objects.get().used_at
    return secret


def self_granted(role: Role) -> Any:
    boss = factories.account(Role.ADMINISTRATOR)
    actions.grant_role(by=actor_of(boss, "session"), user=boss, role=role)
    return boss
