"""The addresses of the pages surface."""

from django.urls import URLPattern, URLResolver, path

from web.pages import data_sets, erasure, evidence, home, models, people, promotions, sign_in, tokens, trail, versions

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-in/link/<str:token>/", sign_in.sign_in_link, name="sign-in-link"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("models/", models.all_models, name="models"),
    path("models/<str:name>/", models.one_model, name="model"),
    path("models/<str:name>/versions/<str:number>/", versions.one_version, name="version"),
    path("models/<str:name>/versions/<str:number>/promote/", versions.promote, name="promote"),
    path("data-sets/", data_sets.all_data_sets, name="data-sets"),
    path("data-sets/<str:name>/<str:number>/", data_sets.one_data_set, name="data-set"),
    path("evidence/<str:evidence_id>/", evidence.one, name="evidence"),
    path("promotions/", promotions.inbox, name="promotions"),
    path("promotions/<str:request_id>/", promotions.one, name="promotion"),
    path("promotions/<str:request_id>/decide/", promotions.decide, name="promotion-decide"),
    path("promotions/<str:request_id>/apply/", promotions.apply, name="promotion-apply"),
    path("promotions/<str:request_id>/withdraw/", promotions.withdraw, name="promotion-withdraw"),
    path("promotions/<str:request_id>/resubmit/", promotions.resubmit, name="promotion-resubmit"),
    *erasure.urlpatterns,
    path("trail/", trail.search, name="trail"),
    path("trail/export/", trail.take_export, name="trail-export"),
    path("trail/object/<str:object_type>/<path:object_id>/", trail.life, name="trail-object"),
    path("trail/<str:entry_id>/", trail.one, name="trail-entry"),
    path("people/", people.everyone, name="people"),
    path("people/new/", people.new_person, name="person-new"),
    path("people/<str:user_id>/", people.one, name="person"),
    path("people/<str:user_id>/grant/", people.grant, name="person-grant"),
    path("people/<str:user_id>/revoke/<str:grant_id>/", people.revoke, name="person-revoke"),
    path("people/<str:user_id>/link/", people.link, name="person-link"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<str:token_id>/revoke/", tokens.revoke, name="token-revoke"),
]
