"""All addresses. Each surface has its own list; what is planned and not built answers 501."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from web import health, unbuilt

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", unbuilt.view, name="metrics"),
    path("api/v1/", include("web.rest.urls")),
    path("log/", include("web.log.urls")),
    re_path(r"^opendsr/", unbuilt.view, name="unbuilt"),
    path("", include("web.mlflow.urls")),
    path("", include("web.pages.urls")),
]

handler400 = handler403 = handler404 = handler500 = "web.errors.from_django"
