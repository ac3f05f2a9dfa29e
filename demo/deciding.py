"""Steps 4 and 5: refused to the author in the same words everywhere, approved by the reviewer, applied."""

import html as entities
import re

import requests

from demo.case import Case
from demo.client import expect
from demo.train import MODEL


def decide(case: Case) -> str:
    """The scientist is refused on every surface in the same words; the reviewer approves."""
    address = f"promotion-requests/{case.request['id']}/"
    vote = {"decision": "APPROVE", "subject_digest": case.request["subject_digest"], "comment": ""}
    refused = case["scientist"].call("POST", f"{address}decisions/", status=403, json=vote)["error"]["sentence"]
    case["scientist"].sign_in()
    expect(
        refused in text_of(case["scientist"].page(f"/promotions/{case.request['id']}/")),
        "the page gives another reason",
    )
    wire = _refusals_on_the_wire(case)
    case["reviewer"].sign_in()
    expect("/promotions/" in case["reviewer"].page("/promotions/"), "the reviewer's inbox does not link the request")
    page = text_of(case["reviewer"].page(f"/promotions/{case.request['id']}/"))
    expect("Disparate impact" in page and "SHAP" in page, "the review page does not show the evidence")
    case.request = case["reviewer"].call(
        "POST", f"{address}decisions/", json={**vote, "comment": "Evidence read; intervals are wide but acceptable."}
    )
    expect(case.request["state"] == "APPROVED", f"after the approval the request is {case.request['state']}")
    return f"own approval refused alike on page and API; {wire}; approved by an independent reviewer"


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", entities.unescape(re.sub(r"<[^>]+>", " ", html)))


def _refusals_on_the_wire(case: Case) -> str:
    calls = {
        "model-versions/transition-stage": {
            "name": MODEL, "version": case.version, "stage": "Production", "archive_existing_versions": False,
        },
        "registered-models/alias": {"name": MODEL, "alias": "champion", "version": case.version},
    }  # fmt: skip
    for path, values in calls.items():
        answer = requests.post(
            f"{case.url}/api/2.0/mlflow/{path}",
            json=values,
            headers={"Authorization": f"Bearer {case['scientist'].token}"},
            timeout=60,
        )
        expect(
            answer.status_code == 403 and answer.json()["error_code"] == "PERMISSION_DENIED",
            f"{path} → {answer.status_code} {answer.text[:300]}",
        )
        where = f"{case.url}/models/{MODEL}/versions/{case.version}/promote/"
        expect(where in answer.json()["message"], f"the refusal does not name {where}: {answer.text[:300]}")
    return "stage and alias on the wire: 403 PERMISSION_DENIED with the address"


def apply(case: Case) -> str:
    """Applying moves stage and alias and issues the grant."""
    case.request = case["scientist"].call(
        "POST",
        f"promotion-requests/{case.request['id']}/apply/",
        json={"subject_digest": case.request["subject_digest"]},
    )
    seen = case["viewer"].call("GET", f"models/{MODEL}/versions/{case.version}/")
    expect(seen["stage"] == "Production" and "champion" in seen["aliases"], f"after applying: {seen['stage']}")
    answer = requests.get(
        f"{case.url}/api/2.0/mlflow/registered-models/alias",
        params={"name": MODEL, "alias": "champion"},
        headers={"Authorization": f"Bearer {case['viewer'].token}"},
        timeout=60,
    ).json()
    expect(answer["model_version"]["version"] == case.version, "the wire's champion is another version")
    grant = case.request["grant"]
    return f"v{case.version} in Production, alias champion, grant {grant['id']} valid until {grant['valid_until'][:10]}"
