"""MLflow's own pages under /mlflow/, in a real browser, with the whole installation behind them."""

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.integration import accounts

pytestmark = pytest.mark.xdist_group("stack")


def call(stack, token: str, path: str, **body: object) -> dict:  # type: ignore[no-untyped-def]
    address = f"{stack.url}/api/2.0/mlflow/{path}"
    answer = requests.post(address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def run_id(stack) -> str:  # type: ignore[no-untyped-def]
    """A run with a metric and a file, and a version registered from it."""
    token = accounts.tokens(stack, pages_ada="data_scientist")["pages_ada"]
    run = call(stack, token, "runs/create", experiment_id="0", start_time=1, run_name="quiet-run")["run"]["info"][
        "run_id"
    ]
    call(stack, token, "runs/log-metric", run_id=run, key="accuracy", value=0.75, timestamp=1)
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/notes.txt"
    sent = requests.put(stack.url + path, b"plain words", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert sent.status_code == 200
    call(stack, token, "registered-models/create", name="pages-churn")
    call(stack, token, "model-versions/create", name="pages-churn", source=f"runs:/{run}/model", run_id=run)
    return run


@pytest.fixture
def page(chromium: Browser, stack, run_id: str):  # type: ignore[no-untyped-def]
    """Signed in on the way to MLflow's pages. Whatever the browser complains of fails the test."""
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None,
    )
    page.goto(f"{stack.url}/mlflow/")
    page.fill("input[name=username]", "pages_ada")
    page.fill("input[name=password]", accounts.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{stack.url}/mlflow/")
    yield page
    context.close()
    assert complaints == []


def test_experiments_a_run_and_its_files(page: Page, stack, run_id: str) -> None:  # type: ignore[no-untyped-def]
    page.goto(f"{stack.url}/mlflow/#/experiments")
    expect(page.get_by_role("link", name="Default", exact=True).first).to_be_visible(timeout=30_000)
    page.goto(f"{stack.url}/mlflow/#/experiments/0/runs/{run_id}")
    expect(page.get_by_text("quiet-run").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text(run_id).first).to_be_visible()
    # the version comes from our registry, through the page's GraphQL
    expect(page.get_by_text("pages-churn").first).to_be_visible()
    page.goto(f"{stack.url}/mlflow/#/experiments/0/runs/{run_id}/artifacts/model/notes.txt")
    expect(page.get_by_text("plain words")).to_be_visible(timeout=30_000)


def test_the_models_page_is_answered_by_our_registry(page: Page, stack) -> None:  # type: ignore[no-untyped-def]
    page.goto(f"{stack.url}/mlflow/#/models")
    expect(page.get_by_text("pages-churn").first).to_be_visible(timeout=30_000)
    page.goto(f"{stack.url}/mlflow/#/models/pages-churn/versions/1")
    expect(page.get_by_text("Version 1").first).to_be_visible(timeout=30_000)


CREATE = """async (address) => {
  const answer = await fetch(address, {method: "POST", headers: {"Content-Type": "application/json"},
                                       body: JSON.stringify({name: "made-on-the-page-" + address.length})});
  return answer.status;
}"""


def test_the_pages_may_write_and_other_places_may_not(page: Page, chromium: Browser, stack) -> None:  # type: ignore[no-untyped-def]
    create = "/ajax-api/2.0/mlflow/experiments/create"
    assert page.evaluate(CREATE, f"/mlflow{create}") == 200
    assert page.evaluate(CREATE, create) == 403
    # Another origin on the same machine, which browsers hold for the same site: the cookie goes along, the write fails.
    other = page.context.new_page()
    other.route("http://127.0.0.1:1/", lambda route: route.fulfill(body="<p>elsewhere</p>", content_type="text/html"))
    other.goto("http://127.0.0.1:1/")
    form = f"""() => {{ document.body.innerHTML = '<form method=post action="{stack.url}/mlflow{create}"></form>';
                        document.forms[0].submit(); }}"""
    with other.expect_response(lambda answer: create in answer.url) as answered:
        other.evaluate(form)
    assert answered.value.status == 403
