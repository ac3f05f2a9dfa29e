"""The addresses of the REST surface, under ``/api/v1/``."""

from django.urls import URLPattern, URLResolver, path

from web.rest import data_sets, erasure, models, people, promotions, trail, trail_exports, trail_proofs
from web.rest.schema import ActorScheme, Document
from web.routes import OPEN, route

app_name = "rest"
__all__ = ["ActorScheme", "urlpatterns"]  # naming the scheme makes the schema know it
urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", route(OPEN)(Document.as_view()), name="schema"),
    path("me/", people.Me.as_view(), name="me"),
    path("people/", people.People.as_view(), name="people"),
    path("people/<str:username>/roles/", people.Roles.as_view(), name="roles"),
    path("people/<str:username>/erase/", people.Erase.as_view(), name="erase-person"),
    path("tokens/", people.Tokens.as_view(), name="tokens"),
    path("models/", models.Models.as_view(), name="models"),
    path("models/<str:name>/versions/", models.Versions.as_view(), name="versions"),
    path("models/<str:name>/versions/<str:number>/", models.Version.as_view(), name="version"),
    path(
        "models/<str:name>/versions/<str:number>/promotion-requests/",
        promotions.Requests.as_view(),
        name="file-promotion",
    ),
    path("models/<str:name>/versions/<str:number>/data-sets/", data_sets.Links.as_view(), name="link-data-set"),
    path("models/<str:name>/versions/<str:number>/reports/", data_sets.Reports.as_view(), name="reports"),
    path("data-sets/", data_sets.DataSets.as_view(), name="data-sets"),
    path("data-sets/<str:name>/<str:number>/", data_sets.One.as_view(), name="data-set"),
    path("evidence/<str:evidence_id>/", models.OneEvidence.as_view(), name="evidence"),
    path("promotion-requests/", promotions.Inbox.as_view(), name="promotions"),
    path("promotion-requests/<str:request_id>/", promotions.One.as_view(), name="promotion"),
    path("promotion-requests/<str:request_id>/decisions/", promotions.Decide.as_view(), name="decide"),
    path("promotion-requests/<str:request_id>/apply/", promotions.Apply.as_view(), name="apply"),
    path("promotion-requests/<str:request_id>/withdraw/", promotions.Withdraw.as_view(), name="withdraw"),
    path("promotion-requests/<str:request_id>/resubmit/", promotions.Resubmit.as_view(), name="resubmit"),
    path("erasure-requests/", erasure.Requests.as_view(), name="erasure-requests"),
    path("erasure-requests/<str:request_id>/", erasure.One.as_view(), name="erasure-request"),
    path("erasure-requests/<str:request_id>/approve/", erasure.Approve.as_view(), name="erasure-approve"),
    path("erasure-requests/<str:request_id>/refuse/", erasure.Refuse.as_view(), name="erasure-refuse"),
    path("erasure-requests/<str:request_id>/cancel/", erasure.Cancel.as_view(), name="erasure-cancel"),
    path("erasure-requests/<str:request_id>/discover/", erasure.Discover.as_view(), name="erasure-discover"),
    path("erasure-requests/<str:request_id>/execute/", erasure.Execute.as_view(), name="erasure-execute"),
    path("erasure-requests/<str:request_id>/sign-off/", erasure.SignOff.as_view(), name="erasure-sign-off"),
    path("erasure-requests/<str:request_id>/certificate/", erasure.Certificate.as_view(), name="erasure-certificate"),
    path("trail/", trail.Search.as_view(), name="trail"),
    path("trail/state/", trail.State.as_view(), name="trail-state"),
    path("trail/objects/<str:object_type>/<path:object_id>/", trail.Life.as_view(), name="trail-object"),
    path("trail/export/", trail_exports.Export.as_view(), name="trail-export"),
    path("trail/exports/", trail_exports.Exports.as_view(), name="trail-exports"),
    path("trail/exports/<str:export_id>/", trail_exports.OneExport.as_view(), name="trail-one-export"),
    path("trail/exports/<str:export_id>/download/", trail_exports.Download.as_view(), name="trail-export-download"),
    path("trail/logs/<str:name>/consistency/", trail_proofs.Consistency.as_view(), name="trail-consistency"),
    path("trail/<str:entry_id>/proof/", trail_proofs.EntryProof.as_view(), name="trail-proof"),
    path("trail/<str:entry_id>/", trail.One.as_view(), name="trail-entry"),
]
