"""The registry as it was: what served at an instant, on what evidence, decided by whom."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from access.roles import Role
from audit import clock
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.models import Event
from registry.actions import aliases, models, promotion, versions
from registry.models import ModelVersion, RegisteredModel
from registry.queries import as_of, history
from registry.states import DecisionKind, TenureKind
from tests import factories
from tests.web.rest.test_promotion_api import version_of

pytestmark = pytest.mark.django_db
PROMPT = {"mlflow.prompt.is_prompt": "true"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-03-09T14:05:00Z", datetime(2026, 3, 9, 14, 5, tzinfo=UTC)),
        ("2026-03-09t14:05:00.25z", datetime(2026, 3, 9, 14, 5, 0, 250_000, tzinfo=UTC)),
        ("2026-03-09 14:05:00.123456789+01:00", datetime(2026, 3, 9, 13, 5, 0, 123_456, tzinfo=UTC)),
        ("2026-03-09T14:05:00-05:30", datetime(2026, 3, 9, 19, 35, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_with_its_zone(text: str, found: datetime) -> None:
    assert as_of.instant(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-03-09", "2026-03-09T14:05:00", "2026-13-09T14:05:00Z", "2026-02-30T14:05:00Z",
     "2026-03-09T25:05:00Z", "2026-03-09T14:05:00 01:00", "0001-01-01T00:00:00+23:00", "9" * 5000, "2026-03-09T14:05Z",
     "\u0662026-03-09T14:05:00Z", "2026-03-09T14:05:00Z\x00"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        as_of.instant(text)
    assert refused.value.code == "bad_as_of"


def test_the_future_is_refused() -> None:
    later = clock.now().astimezone(timezone(timedelta(hours=2))) + timedelta(minutes=1)
    with pytest.raises(Invalid, match="in the future") as refused:
        as_of.instant(later.isoformat())
    assert refused.value.code == "future_as_of"


class Told:
    """Two versions of one model promoted after each other, with the instants between the acts."""

    def __init__(self) -> None:
        self.ana, self.rex = factories.account(Role.DATA_SCIENTIST), factories.account(Role.REVIEWER)
        self.by, self.reviewer = factories.actor(Role.DATA_SCIENTIST), factories.actor(Role.REVIEWER)
        self.at = {"start": clock.now()}
        self.one, self.two = version_of(self.ana), version_of(self.ana, number=2)
        self.model = self.one.model
        self.mark("registered")
        self.requests = [self._promote(self.one, "one"), self._promote(self.two, "two")]

    def mark(self, name: str) -> None:
        self.at[name] = clock.now()

    def _promote(self, version: ModelVersion, name: str) -> str:
        request = promotion.open_request(
            by=self.by, version=version, target_stage="Production", justification=f"{name} is better."
        )
        self.mark(f"{name} asked")
        digest = request.subject_digest
        promotion.decide(
            by=self.reviewer, request=request, kind=DecisionKind.APPROVE, subject_digest=digest, comment="Read."
        )
        self.mark(f"{name} approved")
        promotion.apply(by=self.by, request=request, subject_digest=digest)
        self.mark(f"{name} served")
        return str(request.pk)


@pytest.fixture
def told() -> Told:
    return Told()


def served(told: Told, name: str, kind: TenureKind = TenureKind.STAGE, held: str = "Production") -> list[int]:
    found = as_of.served(told.by, "credit", kind, held, told.at[name])
    return [each.version.row.number for each in found]


def test_what_served_at_an_instant(told: Told) -> None:
    assert served(told, "registered") == []
    assert served(told, "one approved") == []
    assert served(told, "one served") == [1]
    assert served(told, "two approved") == [1]
    assert served(told, "two served") == [2]
    assert served(told, "two served", held="Archived") == [1]
    assert served(told, "one served", TenureKind.ALIAS, "champion") == [1]
    assert served(told, "two served", TenureKind.ALIAS, "champion") == [2]
    with pytest.raises(NotFound, match="was registered after"):
        served(told, "start")


def test_a_version_holds_at_an_instant_what_it_held_then(told: Told) -> None:
    found = {
        name: (then.stage, then.aliases)
        for name in ("registered", "one served", "two served")
        for then in [as_of.version(told.by, "credit", "1", told.at[name])]
    }
    assert found == {
        "registered": ("None", []), "one served": ("Production", ["champion"]), "two served": ("Archived", []),
    }  # fmt: skip


def test_the_hand_over_leaves_no_gap(told: Told) -> None:
    rows = history.of_model(told.model, kind="stage", name="Production").lines
    newer, older = rows[0].tenure.period, rows[1].tenure.period
    assert newer.lower == older.upper
    champions = history.of_model(told.model, kind="alias").lines
    assert champions[0].tenure.period.lower == champions[1].tenure.period.upper == newer.lower


def test_on_what_evidence_and_decided_by_whom(told: Told) -> None:
    (found,) = as_of.served(told.by, "credit", TenureKind.STAGE, "Production", told.at["two approved"])
    assert found.tenure.by == told.by.account
    assert found.tenure.action == "promotion.apply"
    assert sorted(row.kind for row in found.version.evidence) == ["artifact", "explanation", "fairness"]
    assert [(link.role, link.data_set.name) for link in found.version.data] == [
        ("evaluation", "credit-evaluation-1"), ("training", "credit-training-1"),
    ]  # fmt: skip
    assert found.request is not None
    assert (str(found.request.row.pk), found.request.state) == (told.requests[0], "APPLIED")
    assert [(row.kind, row.by) for row in found.request.decisions] == [("APPROVE", told.reviewer.account)]
    assert found.request.grant is not None


def test_a_request_stands_as_it_stood(told: Told) -> None:
    states = {
        name: [(str(each.row.pk) == told.requests[1], each.state) for each in as_of.requests(told.by, at)]
        for name, at in told.at.items()
    }
    assert states == {
        "start": [], "registered": [], "one asked": [(False, "OPEN")], "one approved": [(False, "APPROVED")],
        "one served": [], "two asked": [(True, "OPEN")], "two approved": [(True, "APPROVED")], "two served": [],
    }  # fmt: skip
    with pytest.raises(NotFound, match="was filed after"):
        as_of.request(told.by, told.requests[1], told.at["one served"])


def test_each_change_names_its_entry(told: Told) -> None:
    aliases.set_alias(by=told.by, model=told.model, alias="blue", version=told.one)
    aliases.set_alias(by=told.by, model=told.model, alias="blue", version=told.two)
    lines = history.of_model(told.model).lines
    newest = lines[0]
    actions = dict(Event.objects.values_list("id", "action"))
    assert [(row.tenure.name, row.version, actions[row.entry]) for row in lines if row.entry] == [
        ("blue", 2, "alias.set"), ("blue", 1, "alias.set"), ("champion", 2, "promotion.apply"),
        ("Production", 2, "promotion.apply"), ("Archived", 1, "promotion.apply"), ("champion", 1, "promotion.apply"),
        ("Production", 1, "promotion.apply"),
    ]  # fmt: skip
    sets = list(Event.objects.filter(action="alias.set").order_by("recorded_at").values_list("id", flat=True))
    assert [newest.entry, lines[1].entry, lines[1].ended_entry] == [sets[1], sets[0], sets[1]]


def test_a_version_as_it_was_before_it_was_deleted() -> None:
    by: Actor = factories.actor(Role.DATA_SCIENTIST)
    model: RegisteredModel = models.create(by=by, name="churn")
    version = versions.create(by=by, model=model, source="dummy-source", tags=PROMPT, description="first")
    aliases.set_alias(by=by, model=model, alias="blue", version=version)
    versions.transition(by=by, version=version, stage="Staging", archive_existing=False)
    before = clock.now()
    versions.delete(by=by, version=version)
    then = as_of.version(by, "churn", "1", before)
    assert (then.stage, then.aliases) == ("Staging", ["blue"])
    assert list(then.unknown) == ["source", "run_id", "description", "tags"]
    with pytest.raises(NotFound):
        as_of.version(by, "churn", "1", clock.now())


def test_others_models_have_no_past_either(told: Told) -> None:
    stranger = factories.actor(Role.DATA_SCIENTIST, pattern="fraud-*")
    with pytest.raises(NotFound):
        as_of.served(stranger, "credit", TenureKind.STAGE, "Production", told.at["two served"])
    assert as_of.requests(stranger, told.at["one approved"]) == []
    assert list(as_of.models(stranger, told.at["two served"])) == []
    assert list(as_of.data_sets(stranger, told.at["two served"])) == []


@pytest.mark.parametrize("count", [1, 12])
def test_the_past_costs_the_same_for_many(count: int, django_assert_num_queries) -> None:
    by: Actor = factories.actor(Role.DATA_SCIENTIST)
    model: RegisteredModel = models.create(by=by, name="churn")
    for number in range(count):
        version = versions.create(by=by, model=model, source="dummy-source", tags=PROMPT)
        aliases.set_alias(by=by, model=model, alias=f"a{number}", version=version)
    at = clock.now()
    with django_assert_num_queries(4):
        assert len(as_of.versions(as_of.present(model, at), at)) == count
    with django_assert_num_queries(3):
        assert len(history.of_model(model).lines) == count
