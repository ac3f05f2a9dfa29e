"""The promotion pages: asking, reading in the right order, deciding, applying; and each way that is refused."""

import html
import re

import pytest

from access import policy
from access.roles import Role
from audit.events import Action
from registry.actions import models, promotion
from registry.models import Grant, ModelVersion, PromotionRequest
from registry.queries import promotion as promotion_queries
from registry.states import DecisionKind
from tests import factories
from tests.web.pages import case
from tests.web.pages.case import actor, client_of, waiting
from web.pages import promotions

pytestmark = pytest.mark.django_db


def text_of(response) -> str:  # type: ignore[no-untyped-def]
    """What a reader sees, without tags."""
    body = re.sub(r"<(script|style|svg|title)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def decide(found: case.Case, client, decision: str = "approve", **values: str):  # type: ignore[no-untyped-def]
    sent = {"decision": decision, "comment": "", "subject_digest": found.digest} | values
    return client.post(f"{found.url}decide/", sent)


def test_the_review_page_gives_things_in_the_order_a_reviewer_needs_them() -> None:
    found = waiting(justification="Because it is fairer.")
    text = text_of(client_of(found.reviewer).get(found.url))
    said = "asks to move credit version 1 to Production ; you decide as reviewer ; expires in 14 days."
    assert f"{found.scientist} {said}" in text
    order = [
        "asks to move",
        "Because it is fairer.",
        "Disparate impact, sex",  # the failure stands before what passes
        "Equal opportunity difference, sex",
        "Artifact digest verified",
        "Favourable predictions by sex",
        "Mean |SHAP|, log-odds",
        "Lineage and digests",
        "Independence",
        f"{found.scientist} may not decide: filed this request and registered this model version",
        "You decide as reviewer.",
        "Approve",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "5 of 5 required gates pass; measured: 1 fail, 2 inconclusive, 1 pass" in text
    assert "0.550 to 0.650, n = 1,000" in text  # the value of a gate with its interval and n
    assert "Largest additivity error 6.70 × 10⁻¹⁶" in text


def test_the_author_sees_disabled_buttons_with_the_sentence_the_policy_gives() -> None:
    found = waiting()
    sentence = policy.why_not(actor(found.scientist), Action.PROMOTION_DECIDE, found.request)
    assert sentence
    page = client_of(found.scientist).get(found.url)
    body = page.content.decode()
    assert html.escape(sentence) in body
    assert 'name="decision"' not in body
    for label in ("Approve", "Request changes", "Reject"):
        assert re.search(rf'<button type="button"[^>]*aria-disabled="true"[^>]*>{label}</button>', body)
    view = promotion_queries.view(actor(found.scientist), found.request)
    assert view.why_not["approve"] == sentence  # what the API returns
    refused = decide(found, client_of(found.scientist))
    assert refused.status_code == 403
    assert html.escape(sentence) in refused.content.decode()


def test_a_reviewer_who_is_also_the_author_is_told_so() -> None:
    found = waiting()
    from access import actions
    from audit.actors import SYSTEM

    actions.grant_role(by=SYSTEM, user=found.scientist, role=Role.REVIEWER)
    assert "You filed this request, so you may not decide on a promotion" in text_of(
        client_of(found.scientist).get(found.url)
    )


def test_approve_and_apply() -> None:
    found = waiting()
    reviewer, scientist = client_of(found.reviewer), client_of(found.scientist)
    response = decide(found, reviewer, comment="Fine by me.")
    assert (response.status_code, response["Location"]) == (302, found.url)
    shown = text_of(reviewer.get(found.url))
    assert "You approved credit v1." in shown
    assert "Fine by me." in shown
    assert "Applying moves version 1 to Production, points the alias champion at it, and issues a signed grant" in shown
    applied = scientist.post(f"{found.url}apply/", {"subject_digest": found.digest})
    assert applied.status_code == 302
    found.version.refresh_from_db()
    assert found.version.stage == "Production"
    shown = text_of(scientist.get(found.url))
    assert "credit v1 is in Production." in shown
    assert "Not counted" not in shown
    assert "decision-bar" not in scientist.get(found.url).content.decode()
    assert "Production" in text_of(scientist.get("/models/credit/versions/1/"))


def test_applying_twice_gives_one_grant() -> None:
    found = waiting()
    decide(found, client_of(found.reviewer))
    digest = found.digest
    for _ in range(2):
        assert client_of(found.scientist).post(f"{found.url}apply/", {"subject_digest": digest}).status_code == 302
    assert Grant.objects.count() == 1


@pytest.mark.parametrize("decision", ["request_changes", "reject"])
def test_saying_no_takes_a_reason_and_what_was_typed_is_kept(decision: str) -> None:
    found = waiting()
    client = client_of(found.reviewer)
    refused = decide(found, client, decision, comment="   ")
    assert refused.status_code == 400
    assert "Say why: only a plain approval may come without a comment." in text_of(refused)
    assert "<title>Error: " in refused.content.decode()
    assert decide(found, client, decision, comment="Age is not looked at.").status_code == 302
    assert "Age is not looked at." in text_of(client.get(found.url))


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ({"decision": "bless"}, 400, "Choose one: approve, request changes or reject."),
        ({"decision": ""}, 400, "Choose one: approve, request changes or reject."),
        ({"comment": "a\x00b"}, 400, "NUL character"),
        ({"comment": "é" * 10_001}, 400, "The comment has 10,001 characters; at most 10,000 are kept."),
        ({"subject_digest": ""}, 409, "What you judged is not what stands there now"),
        ({"subject_digest": "f" * 64}, 409, "What you judged is not what stands there now"),
        ({"subject_digest": "x\x00"}, 400, "NUL character"),
    ],
)
def test_bad_decisions_change_nothing_and_say_why(values: dict[str, str], status: int, sentence: str) -> None:
    found = waiting()
    response = decide(found, client_of(found.reviewer), **values)
    assert response.status_code == status
    assert sentence in text_of(response)
    assert found.request.decisions.count() == 0


def test_a_decision_on_content_that_moved_is_409_and_the_page_says_what_moved() -> None:
    found = waiting()
    seen = found.digest
    from registry.actions import versions

    versions.update(by=actor(found.scientist), version=found.version, description="Changed while you were reading.")
    client = client_of(found.reviewer)
    response = decide(found, client, subject_digest=seen, comment="Looks good <b>to</b> me")
    text = text_of(response)
    assert response.status_code == 409
    assert "Your decision was not recorded" in text
    assert "the description changed" in text
    assert "Stale: the description changed since this request was last judged" in text
    assert "Looks good <b>to</b> me" in text  # what was typed is kept, as text
    assert found.request.decisions.count() == 0
    fresh = re.search(r'name="subject_digest" value="([0-9a-f]{64})"', response.content.decode())
    assert fresh
    assert fresh[1] == found.digest != seen
    assert decide(found, client, subject_digest=fresh[1]).status_code == 302


def test_an_approval_that_went_stale_is_shown_as_not_counted_and_cannot_be_applied() -> None:
    found = waiting()
    client = client_of(found.reviewer)
    decide(found, client)
    from registry.actions import versions

    versions.update(by=actor(found.scientist), version=found.version, description="Moved.")
    text = text_of(client.get(found.url))
    assert "Stale: the description changed since you decided" in text
    assert "Not counted" in text
    assert "0 of 1 approval" in text
    refused = client_of(found.scientist).post(f"{found.url}apply/", {"subject_digest": found.digest})
    assert refused.status_code == 409
    assert ModelVersion.objects.get(pk=found.version.pk).stage == "None"


def test_without_evidence_approving_is_disabled_and_says_what_lacks() -> None:
    found = waiting(with_reports=False)
    page = client_of(found.reviewer).get(found.url)
    assert "This cannot be approved yet." in text_of(page)
    assert "No report yet" in text_of(page)
    assert 'value="approve"' not in page.content.decode()
    assert 'value="reject"' in page.content.decode()
    assert decide(found, client_of(found.reviewer)).status_code == 409


def test_changes_requested_resubmitted_withdrawn() -> None:
    found = waiting()
    decide(found, client_of(found.reviewer), "request_changes", comment="Say more.")
    scientist = client_of(found.scientist)
    assert "Say more." in text_of(scientist.get(found.url))
    assert scientist.post(f"{found.url}resubmit/", {"comment": "Said more."})["Location"] == found.url
    assert "The request is open again" in text_of(scientist.get(found.url))
    other = client_of(factories.account(Role.DATA_SCIENTIST))
    assert other.post(f"{found.url}withdraw/").status_code == 403
    assert scientist.post(f"{found.url}withdraw/", {"comment": ""}).status_code == 302
    assert "You withdrew this request." in text_of(scientist.get(found.url))
    assert scientist.post(f"{found.url}withdraw/").status_code == 409


def test_asking_for_a_promotion() -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    factories.account(Role.REVIEWER)
    case.version(actor(scientist), "a name with spaces & signs?")
    client = client_of(scientist)
    version_page = client.get("/models/a%20name%20with%20spaces%20&%20signs%3F/versions/1/")
    address = re.search(r'href="([^"]+/promote/)"', version_page.content.decode())
    assert address
    form = client.get(html.unescape(address[1]))
    assert "What Production asks for" in text_of(form)
    made = client.post(html.unescape(address[1]), {"target_stage": "Production", "justification": "Better."})
    assert made.status_code == 302
    request = PromotionRequest.objects.get()
    assert made["Location"] == f"/promotions/{request.pk}/"
    again = client.post(html.unescape(address[1]), {"target_stage": "Production", "justification": "Once <more>."})
    assert again.status_code == 409
    assert f'href="/promotions/{request.pk}/"' in again.content.decode()
    assert "Once &lt;more&gt;." in again.content.decode()
    shown = client.get("/models/a%20name%20with%20spaces%20&%20signs%3F/versions/1/")
    assert "Open the promotion request" in text_of(shown)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Say why this version should be promoted."),
        ({"justification": "  ", "target_stage": "Production"}, "Say why this version should be promoted."),
        ({"justification": "x\x00", "target_stage": "Production"}, "NUL character"),
        ({"justification": "x", "target_stage": "Moon"}, "Promotions lead to a protected stage"),
        ({"justification": "x", "target_stage": ""}, "Choose a stage."),
        ({"justification": "ü" * 10_001, "target_stage": "Production"}, "The justification has 10,001 characters"),
    ],
)
def test_a_request_that_cannot_be_filed_keeps_what_was_typed(values: dict[str, str], sentence: str) -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    factories.account(Role.REVIEWER)
    case.version(actor(scientist))
    response = client_of(scientist).post("/models/credit/versions/1/promote/", values)
    assert response.status_code == 400
    assert sentence in text_of(response)
    assert 'href="#id_' in response.content.decode()
    assert PromotionRequest.objects.count() == 0


def test_nobody_to_decide_is_409_and_names_the_role() -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    case.version(actor(scientist))
    response = client_of(scientist).post(
        "/models/credit/versions/1/promote/", {"target_stage": "Production", "justification": "x"}
    )
    assert response.status_code == 409
    assert "has the role reviewer or risk owner on credit" in text_of(response)


def test_a_viewer_reads_why_they_may_not_ask() -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    row = case.version(actor(scientist))
    viewer = factories.account(Role.VIEWER)
    sentence = policy.why_not(actor(viewer), Action.PROMOTION_REQUEST, row)
    assert sentence
    assert sentence in text_of(client_of(viewer).get("/models/credit/versions/1/"))
    assert client_of(viewer).get("/models/credit/versions/1/promote/").status_code == 403


def test_the_inbox_says_what_is_needed_from_whom() -> None:
    found = waiting()
    shown = text_of(client_of(found.reviewer).get("/promotions/"))
    assert "credit v1 no stage → Production Open Your decision" in shown
    assert "Open Nothing" in text_of(client_of(found.scientist).get("/promotions/"))
    assert "Your decision" in text_of(client_of(found.reviewer).get("/"))
    promotion.decide(
        by=actor(found.reviewer), request=found.request, kind=DecisionKind.APPROVE, subject_digest=found.digest
    )
    assert "Approved Apply it" in text_of(client_of(found.scientist).get("/promotions/"))


def test_subjects_made_for_a_list_are_those_of_the_rows() -> None:
    rows = [waiting("one").request, waiting("two").request]
    for row, subject in zip(rows, promotions.subjects_of(rows), strict=True):
        assert subject == row.subject()
        assert dict(subject.involved) == dict(row.subject().involved)


def test_hostile_words_stay_words() -> None:
    nasty = "<script>alert(1)</script>\u202e rtl 🚢 {{ 7 }} {% now %}"
    found = waiting("<b>bold", justification=nasty)
    decide(found, client_of(found.reviewer), "request_changes", comment=nasty)
    for address in (found.url, "/promotions/", "/models/%3Cb%3Ebold/versions/1/"):
        body = client_of(found.reviewer).get(address).content.decode()
        assert "<script>alert" not in body
        assert "<b>bold" not in body
    assert html.escape(nasty) in client_of(found.reviewer).get(found.url).content.decode()


def test_the_evidence_pages() -> None:
    found = waiting()
    client = client_of(found.reviewer)
    for row in found.version.evidence.all():
        page = client.get(f"/evidence/{row.pk}/")
        assert page.status_code == 200
        assert row.result_digest in page.content.decode()
    fairness = text_of(client.get(f"/evidence/{found.version.evidence.get(kind='fairness').pk}/"))
    assert "no row with an unfavourable label" in fairness
    assert "72.3 %" in fairness  # 499 of 690
    assert "499 of 690" in fairness
    explanation = client.get(f"/evidence/{found.version.evidence.get(kind='explanation').pk}/").content.decode()
    assert "&lt;i&gt;age&lt;/i&gt;" in explanation
    assert "<i>age</i>" not in explanation


def test_a_report_that_could_not_be_made_says_why() -> None:
    from registry.actions import evidence
    from registry.states import EvidenceKind

    scientist = factories.account(Role.DATA_SCIENTIST)
    row = case.version(actor(scientist))
    made = case.attach(row, evidence.failed(EvidenceKind.FAIRNESS, {}, "The label <b>is</b> missing."))
    text = text_of(client_of(scientist).get(f"/evidence/{made.pk}/"))
    assert "This could not be computed The label <b>is</b> missing." in text
    assert "The label <b>is</b> missing." in text_of(client_of(scientist).get("/models/credit/versions/1/"))


def test_a_model_in_the_list_shows_what_is_waiting() -> None:
    found = waiting()
    models.create(by=actor(found.scientist), name="zebra")
    text = text_of(client_of(found.reviewer).get("/models/"))
    assert "credit – version 1 1" in text.replace("\u00a0", " ")
    assert "zebra" not in text_of(client_of(found.reviewer).get("/models/?q=CRED"))
    assert "No model has that in its name" in text_of(client_of(found.reviewer).get("/models/?q=xyz"))
