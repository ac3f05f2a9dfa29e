"""Settings, from the environment only. A wrong value stops the start with a sentence.

``deploy.run.environment`` fills in what the running installation on the same data folder has chosen, so that
``python manage.py …`` in another shell talks to it.
"""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from deploy.run import environment
from registry import roots

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = environment.load(dict(os.environ))


def _flag(name: str, default: bool) -> bool:
    value = ENV.get(name, "")
    if value not in {"", "true", "false"}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return default if value == "" else value == "true"


def _count(name: str, default: int, most: int = 1200) -> int:
    value = ENV.get(name, "") or str(default)
    if not (value.isascii() and value.isdigit() and len(value) < 19 and 1 <= int(value) <= most):
        raise ImproperlyConfigured(f"{name} must be a whole number from 1 to {most}, not {value!r}.")
    return int(value)


def _pattern(name: str) -> re.Pattern[str] | None:
    try:
        return re.compile(ENV[name]) if ENV.get(name) else None
    except re.error as error:
        raise ImproperlyConfigured(f"{name} is not a regular expression: {error}.") from None


def _schemes(name: str) -> frozenset[str]:
    found = frozenset(entry.strip().lower() for entry in ENV.get(name, "").split(",") if entry.strip())
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*", entry) for entry in found):
        raise ImproperlyConfigured(f"{name} must be schemes with commas between them, such as hdfs,sftp.")
    return found


def _networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks such as 10.1.0.0/16, comma-separated."""
    try:
        return tuple(ip_network(part.strip()) for part in ENV.get(name, "").split(",") if part.strip())
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} lists networks such as 10.1.0.0/16, comma-separated: {error}.") from None


def _secret(name: str) -> str:
    """A secret from the environment, or one kept in the key folder and made on first use."""
    if ENV.get(name):
        return ENV[name]
    path = PLIMSOLL_KEYS / "session.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(os.urandom(32).hex())
    return path.read_text(encoding="ascii").strip()


def _database(role: str) -> dict[str, Any]:
    url = ENV.get(f"PLIMSOLL_DB_{role.upper()}") or ENV.get("DATABASE_URL", "")
    if not url:
        # No database is known: commands that need none (check, help) still run, the others say so when they connect.
        url = "postgresql://plimsoll_app@/plimsoll?host=/nonexistent-plimsoll-is-not-running"
    try:
        found: dict[str, Any] = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError) as error:
        raise ImproperlyConfigured(f"The database address for the {role} role cannot be read: {error}.") from None
    if not found["ENGINE"].endswith("postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL server: postgresql://user:password@host/name.")
    found["ENGINE"] = "audit.backend"
    found["CONN_HEALTH_CHECKS"] = True
    found["CONN_MAX_AGE"] = None
    found["ATOMIC_REQUESTS"] = False
    return found


PLIMSOLL_DATA = Path(ENV.get("PLIMSOLL_DATA") or BASE_DIR / "var").resolve()
PLIMSOLL_KEYS = Path(ENV.get("PLIMSOLL_KEYS") or PLIMSOLL_DATA / "keys")
# Only the sequencer's process looks in here.
PLIMSOLL_SIGNING_KEYS = Path(ENV.get("PLIMSOLL_SIGNING_KEYS") or PLIMSOLL_KEYS / "sequencer")
# Which parties outside keep what was signed: a TOML file, checked when the audit app starts.
PLIMSOLL_ANCHORS = Path(ENV["PLIMSOLL_ANCHORS"]) if ENV.get("PLIMSOLL_ANCHORS") else None
PLIMSOLL_ROLE = ENV.get("PLIMSOLL_ROLE") or "app"
if PLIMSOLL_ROLE not in {"app", "owner", "sequencer", "eraser"}:
    raise ImproperlyConfigured("PLIMSOLL_ROLE must be app, owner, sequencer or eraser.")
PLIMSOLL_PUBLIC_URL = (ENV.get("PLIMSOLL_PUBLIC_URL") or "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(PLIMSOLL_PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured("PLIMSOLL_PUBLIC_URL must be an http or https address, as people type it.")
PLIMSOLL_ORIGIN = ENV.get("PLIMSOLL_ORIGIN") or "plimsoll.local"
# How long the entries of each log are held at least, in months; pruning is a command of the operator.
PLIMSOLL_RETENTION_MONTHS = {
    "admin": _count("PLIMSOLL_RETENTION_ADMIN", 84),
    "access": _count("PLIMSOLL_RETENTION_ACCESS", 13),
}
# Exports of the trail with more entries than this are made by a worker.
PLIMSOLL_EXPORT_INLINE = _count("PLIMSOLL_EXPORT_INLINE", 20_000, most=1_000_000)
# Pinned files are read again this many days after they were last found right.
PLIMSOLL_CHECK_DAYS = _count("PLIMSOLL_CHECK_DAYS", 7, most=365)
# Whether writers give events their place in the log themselves while no sequencer process is there.
PLIMSOLL_SEQUENCE_ON_COMMIT = _flag("PLIMSOLL_SEQUENCE_ON_COMMIT", True)
# What is protected: the shipped set of policies, or nothing at all, as in a plain MLflow server.
PLIMSOLL_POLICIES = ENV.get("PLIMSOLL_POLICIES") or "shipped"
if PLIMSOLL_POLICIES not in {"shipped", "open"}:
    raise ImproperlyConfigured(f"PLIMSOLL_POLICIES must be shipped or open, not {PLIMSOLL_POLICIES!r}.")
# What MLflow's own server lets an operator say of a version's source, under the names it gives them.
MLFLOW_SOURCE_PATTERN = _pattern("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX")
MLFLOW_SOURCE_SCHEMES = _schemes("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES")
# Runs and artifacts: the tracking server beside us, or one that runs elsewhere, with what it asks for as a login.
try:
    _upstream = environment.upstream(ENV)
except environment.StartRefusedError as error:
    raise ImproperlyConfigured(str(error)) from None
PLIMSOLL_TRACKING_URL = (_upstream.url or ENV.get("PLIMSOLL_TRACKING_URL") or "http://127.0.0.1:5001").rstrip("/")
PLIMSOLL_TRACKING_AUTHORIZATION: str = _upstream.authorization
# Webhooks: whether http:// is taken, which networks that are not public may be called, how long one attempt and all
# attempts of a delivery may last, and for how long the log of deliveries is kept.
PLIMSOLL_WEBHOOK_HTTP = _flag("PLIMSOLL_WEBHOOK_HTTP", False)
PLIMSOLL_WEBHOOK_NETWORKS = _networks("PLIMSOLL_WEBHOOK_NETWORKS")
PLIMSOLL_WEBHOOK_SECONDS = _count("PLIMSOLL_WEBHOOK_SECONDS", 10, most=60)
PLIMSOLL_WEBHOOK_GIVE_UP_HOURS = _count("PLIMSOLL_WEBHOOK_GIVE_UP_HOURS", 72)
PLIMSOLL_WEBHOOK_RETENTION_DAYS = _count("PLIMSOLL_WEBHOOK_RETENTION_DAYS", 30)
PLIMSOLL_VERSION = "0.1.0"
# Where data sets may be read from, besides uploads and the artifact store: a comma-separated list of addresses.
try:
    PLIMSOLL_DATA_ROOTS = roots.parse(ENV.get("PLIMSOLL_DATA_ROOTS", ""), [PLIMSOLL_DATA, PLIMSOLL_KEYS, BASE_DIR])
except ValueError as error:
    raise ImproperlyConfigured(f"PLIMSOLL_DATA_ROOTS: {error}") from None
# The largest data set accepted in one upload, in bytes.
PLIMSOLL_MOST_UPLOAD = 2 * 1024**3

SECRET_KEY = _secret("PLIMSOLL_SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = sorted(
    {_public.hostname, "127.0.0.1", "localhost", "[::1]", *filter(None, ENV.get("PLIMSOLL_HOSTS", "").split(","))}
)
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "csp",
    "audit",
    "access",
    "registry",
    "fairness",
    "explain",
    "erasure",
    "web",
]
MIDDLEWARE = [
    "web.middleware.RequestMiddleware",
    "web.middleware.ErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "web.middleware.ActorMiddleware",
    "web.middleware.CheckedMiddleware",
]
ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "web" / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "web.pages.context.page",
            ],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                ),
            ],
        },
    }
]

# Beside its own role the service uses two others, each for one thing: giving events their index, erasing openings.
DATABASES = {
    "default": _database(PLIMSOLL_ROLE),
    "sequencer": _database("sequencer"),
    "eraser": _database("eraser"),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "access.User"
# The name is unique without regard to case, by a constraint on Lower("username").
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["web.sessions.AccountBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_COOKIE_NAME = "plimsoll_session"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
CSRF_COOKIE_NAME = "plimsoll_csrf"
CSRF_FAILURE_VIEW = "web.errors.csrf_failure"
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "web" / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["web.rest.authentication.ActorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "web.rest.errors.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Plimsoll",
    "DESCRIPTION": "Governance service and model registry for machine learning.",
    "VERSION": PLIMSOLL_VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {"RoleEnum": "web.rest.people_shapes.ROLES", "DataRoleEnum": "web.rest.fields.DATA_ROLES"},
}

CELERY_BROKER_URL = ENV.get("CELERY_BROKER_URL", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "deploy.run.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": ENV.get("PLIMSOLL_LOG_LEVEL") or "INFO"},
    # Our own middleware writes one line per request and logs what is unforeseen.
    "loggers": {"django.request": {"level": "CRITICAL"}, "django.security": {"level": "CRITICAL"}},
}
