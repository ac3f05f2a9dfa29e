"""The addresses of the published log, under ``/log/``."""

from django.urls import URLPattern, URLResolver, path

from web.log import views

app_name = "log"
urlpatterns: list[URLPattern | URLResolver] = [
    path("<str:name>/checkpoint", views.checkpoint, name="checkpoint"),
    path("<str:name>/minimum-index", views.minimum_index, name="minimum-index"),
    path("<str:name>/tile/<path:path>", views.tile, name="tile"),
    path("<str:name>/entry/<str:index>", views.entry, name="entry"),
    path("<str:name>/proof/<str:index>", views.proof, name="proof"),
    path("<str:name>/consistency", views.consistency, name="consistency"),
]
