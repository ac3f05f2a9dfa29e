"""Who can do this? An act, on everything or on one name: groups, people and machines, through which grants; and why one
person cannot. Below it the policy table itself.
"""

from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from access import queries, reads, scopes, who_can
from access.policy import ENTANGLED, POLICY, Rule
from access.roles import Role, either
from access.scopes import SCOPES, TokenScope
from audit.errors import Invalid, NotFound
from audit.events import WORDS, Action
from audit.subjects import INSTALLATION
from web.errors import face_of
from web.pages import paging
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, page
from web.pages.people import account_cell, places

_ON_NAMES: Final = ("registered_model", "model_version", "alias", "data_set", "evidence", "promotion", "registry")


class QuestionForm(PageForm):
    """An act, perhaps a name, perhaps one person."""

    action = forms.ChoiceField(
        label="Who can",
        choices=[(action.value, WORDS[action]) for action in sorted(Action, key=lambda each: WORDS[each])],
        error_messages={"required": "Choose what it is about.", "invalid_choice": "There is no such act."},
    )
    model = TextField(label="On the model", required=False, max_length=256)
    person = TextField(
        label="Only this person",
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@page(Action.PEOPLE_VIEW)
def ask(request: HttpRequest) -> HttpResponse:
    """The question, and its answer once there is one."""
    by = actor_of(request)
    queries.people(by)
    context: dict[str, Any] = {"places": places("who-can"), "powers": powers_table()}
    if "action" not in request.GET:
        reads.seen(by, Action.PEOPLE_VIEW, INSTALLATION, told={"question": ""}, once_per=reads.RELOAD)
        form = QuestionForm(initial={"action": Action.PROMOTION_DECIDE.value})
        return render(request, "people/who_can.html", context | {"form": form})
    form = QuestionForm(request.GET)
    if not form.is_valid():
        return render(request, "people/who_can.html", context | {"form": form}, status=400)
    asked = who_can.question(form.cleaned_data["action"], form.cleaned_data["model"])
    told = {"action": asked.action.value}
    try:
        found = _answer(request, asked, form.cleaned_data["person"])
    except (Invalid, NotFound) as error:
        form.refused(error, "person")
        status = 400 if isinstance(error, NotFound) else int(face_of(error).status)
        return render(request, "people/who_can.html", context | {"form": form}, status=status)
    reads.seen(by, Action.PEOPLE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
    return render(request, "people/who_can.html", context | {"form": form, **found})


def _answer(request: HttpRequest, asked: who_can.Question, person: str) -> dict[str, Any]:
    by = actor_of(request)
    on = f" on {asked.scope}" if asked.scope else ""
    shared = {
        "asked": f"Who can {WORDS[asked.action]}{on}?",
        "rule": who_can.sentence(asked),
        "unless": [ENTANGLED[relation] for relation in asked.rule.unless],
        "hint": _hint(asked),
        "scopes": [SCOPES[scope].label for scope in TokenScope if scopes.reaches(scope, asked.action)],
    }
    if person:
        user = queries.person(by, person)
        return shared | {"one": who_can.of(by, asked, user), "one_through": _through(who_can.of(by, asked, user))}
    answer = who_can.answer(by, asked, request.GET.get("after", ""))
    return shared | {
        "groups": _groups_table(answer),
        "accounts": _accounts_table(answer),
        "page": paging.links(request, f"{len(answer.holders)} accounts on this page", answer.after),
        "paged": bool(answer.after or request.GET.get("after")),
    }


def _hint(asked: who_can.Question) -> str:
    """Without a name the answer leaves out whoever may do it on some names only."""
    if asked.scope or asked.action.value.partition(".")[0] not in _ON_NAMES:
        return ""
    return "These may do it on every name. Name a model to include whoever may do it on names like that one."


def _through(holder: who_can.Holder) -> str:
    return "; ".join(who_can.grant_words(held) for held in holder.through)


def _groups_table(answer: who_can.Answer) -> dict[str, Any] | None:
    if not answer.groups:
        return None
    return {
        "id": "who-groups",
        "caption": "Groups",
        "caption_hidden": True,
        "columns": [{"label": "Group"}, {"label": "Through"}, {"label": "Holds until"}],
        "rows": [
            [
                {"text": str(grant.group), "url": reverse("group", args=[grant.group_id])},
                f"{either(frozenset({Role(grant.role)}))} {'everywhere' if grant.pattern == '*' else grant.pattern}",
                {"when": grant.until} if grant.until else "revoked",
            ]
            for grant in answer.groups
        ],
        "empty": {},
    }


def _accounts_table(answer: who_can.Answer) -> dict[str, Any]:
    return {
        "id": "who-accounts",
        "caption": "People and machines",
        "caption_hidden": True,
        "columns": [{"label": label} for label in ("Account", "Through", "Can they?")],
        "rows": [[account_cell(holder.user), _through(holder), _verdict(holder)] for holder in answer.holders],
        "empty": {
            "title": "Nobody is granted a role for it",
            "sentence": answer.sentence,
        },
    }


def _verdict(holder: who_can.Holder) -> dict[str, str]:
    if holder.why_not is None:
        return {"status": "PASS", "word": "Yes"}
    return {"status": "REFUSED", "word": "No", "note": f"They read: “{holder.why_not}”"}


def powers_table() -> dict[str, Any]:
    """Who can do what: the policy table itself, in words."""
    return {
        "id": "powers",
        "caption": "Written from the policy the service runs on; a role counts where its grant reaches.",
        "columns": [{"label": label} for label in ("Act", "Who", "Unless they")],
        "rows": [
            [
                {"text": WORDS[action].capitalize(), "url": f"?action={action.value}"},
                _who(rule),
                _unless(rule),
            ]
            for action, rule in POLICY.items()
        ],
        "empty": {},
    }


def _who(rule: Rule) -> str:
    if rule.anyone:
        return "anyone who is signed in"
    said = ["its holder"] if rule.own else []
    if rule.roles:
        said.append("every role" if rule.roles == frozenset(Role) else either(rule.roles))
    return " or ".join(said) or "only Plimsoll itself"


def _unless(rule: Rule) -> str:
    return ", ".join(_lowered(ENTANGLED[relation].removeprefix("You ")) for relation in rule.unless) or "–"


def _lowered(text: str) -> str:
    return text.replace("yourself", "themselves")
