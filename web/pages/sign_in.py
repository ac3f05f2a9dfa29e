"""Signing in by password or by a one-time link, and signing out.

Passwords and links are checked in ``access.authenticate``; the session itself is ``web/sessions.py``.
"""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from access import actions, authenticate
from access.models import User
from audit.errors import DomainError
from audit.events import Action
from web import sessions
from web.errors import face_of
from web.pages.forms import PageForm, TextField
from web.pages.guard import actor_of, open_page, page


class SignInForm(PageForm):
    """A user name and a password. Both go to the check as they were typed."""

    username = TextField(
        label="User name",
        max_length=150,
        missing="Enter your user name.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = TextField(
        label="Password",
        max_length=1000,
        missing="Enter your password.",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@open_page("GET", "POST")
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and its answer. ``next`` leads on, to a page of this site only."""
    target = safe_next(request)
    if request.method == "GET":
        if actor_of(request).account is not None:
            return HttpResponseRedirect(target)
        return _form(request, SignInForm(), target)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _form(request, form, target, status=400)
    try:
        user = authenticate.by_password(
            form.cleaned_data["username"], form.cleaned_data["password"], ip=actor_of(request).ip
        )
        _begin(request, user, "session")
    except DomainError as error:
        form.add_error(None, error.sentence)
        return _form(request, form, target, status=int(face_of(error).status))
    return HttpResponseRedirect(target)


@open_page("GET", "POST")
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link. Reading it spends nothing, since mail scanners read links; the button signs in."""
    try:
        link = authenticate.link_for(token)
        if request.method == "POST":
            _begin(request, link.user, "link", link=token)
            return HttpResponseRedirect(reverse("home"))
    except DomainError as error:
        # A redirect to the form would hide why the link does not work.
        return render(request, "sign_in/link.html", {"refusal": error.sentence}, status=int(face_of(error).status))
    response = render(request, "sign_in/link.html", {"user": link.user, "until": link.expires_at})
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    return response


@page(Action.SESSION_CLOSE, "POST")
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    actions.close_session(by=actor_of(request), session=sessions.id_of(request))
    sessions.end(request)
    messages.success(request, "You are signed out.")
    return HttpResponseRedirect(reverse("sign-in"))


def _begin(request: HttpRequest, user: User, auth: str, link: str | None = None) -> None:
    """Record the sign-in first: a session that the trail does not know must not exist."""
    asking = actor_of(request)
    actor = authenticate.actor_of(user, auth, request_id=asking.request_id, ip=asking.ip)
    session = actions.open_session(by=actor, link=link, agent=request.headers.get("User-Agent", ""))
    sessions.begin(request, user, session)


def _form(request: HttpRequest, form: SignInForm, target: str, status: int = 200) -> HttpResponse:
    context = {"form": form, "next": "" if target == reverse("home") else target}
    return render(request, "sign_in/form.html", context, status=status)


def safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: a path on this very site, else the start page."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    on_site = url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    if not target.startswith("/") or not on_site or any(ord(letter) < 32 or letter == "\\" for letter in target):
        return reverse("home")
    return target
