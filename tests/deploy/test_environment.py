"""What a person may set, and the sentences for what they may not."""

import json
import os
import stat

import pytest

from deploy.run import addresses, environment
from deploy.run.environment import StartRefusedError, choices


def test_nothing_set_serves_on_loopback_8000_from_var_beside_the_code():
    chosen = choices({})
    assert (chosen.bind, chosen.port, chosen.data) == ("127.0.0.1", 8000, environment.ROOT / "var")
    assert (chosen.database_url, chosen.broker_url, chosen.upstream) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "8000.0"),
        ("PORT", "٨٠٠٠"),
        ("PLIMSOLL_BIND", "example.org"),
        ("PLIMSOLL_BIND", "300.1.1.1"),
        ("DATABASE_URL", "mysql://u:secret@h/d"),
        ("DATABASE_URL", "postgresql://u:secret@h"),
        ("CELERY_BROKER_URL", "http://broker"),
        ("MLFLOW_UPSTREAM", "tracking:5000"),
        ("PLIMSOLL_PUBLIC_URL", "ftp://plimsoll"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence_that_names_the_variable(name, value):
    with pytest.raises(StartRefusedError) as refused:
        choices({name: value})
    assert name in str(refused.value)
    assert str(refused.value).endswith(".") or str(refused.value).endswith(").")
    assert "secret" not in str(refused.value)


def test_a_file_is_not_a_data_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StartRefusedError, match="is a file"):
        choices({"PLIMSOLL_DATA": str(tmp_path / "file")})


@pytest.mark.parametrize("missing", ["PLIMSOLL_ADMIN_USER", "PLIMSOLL_ADMIN_PASSWORD"])
def test_administrator_and_password_go_together(missing):
    both = {"PLIMSOLL_ADMIN_USER": "root", "PLIMSOLL_ADMIN_PASSWORD": "correct horse"}
    choices(both)
    with pytest.raises(StartRefusedError, match=f"{missing} is missing"):
        choices({name: value for name, value in both.items() if name != missing})


def test_the_owner_address_alone_is_refused():
    with pytest.raises(StartRefusedError, match="Set both, or neither"):
        choices({"DATABASE_OWNER_URL": "postgresql://o@h/d"})


def test_another_shell_finds_the_running_installation(tmp_path):
    told = {"PLIMSOLL_DB_APP": "postgresql://a", "PLIMSOLL_PUBLIC_URL": "http://127.0.0.1:8001", "UNRELATED": "x"}
    environment.write_record(tmp_path, told, supervisor=os.getpid())
    found = environment.load({"PLIMSOLL_DATA": str(tmp_path), "PLIMSOLL_PUBLIC_URL": "https://set.by.hand"})
    assert found["PLIMSOLL_DB_APP"] == "postgresql://a"
    assert found["PLIMSOLL_PUBLIC_URL"] == "https://set.by.hand"
    assert "UNRELATED" not in found
    assert stat.S_IMODE((tmp_path / "run.env.json").stat().st_mode) == 0o600


def test_the_record_of_a_supervisor_that_is_gone_is_not_used(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    environment.write_record(tmp_path, {"PLIMSOLL_DB_APP": "postgresql://a"}, supervisor=child)
    assert environment.read_record(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": "1"}', '{"supervisor": 1, "environment": []}'])
def test_a_damaged_record_is_no_record(tmp_path, text):
    (tmp_path / "run.env.json").write_text(text)
    assert environment.read_record(tmp_path) == {}


def test_addresses_on_the_embedded_server_go_through_the_socket(tmp_path):
    told = addresses.embedded(tmp_path)
    host = str(tmp_path).replace("/", "%2F")
    assert told["PLIMSOLL_DB_APP"] == f"postgresql://plimsoll_app@/plimsoll?host={host}"
    assert told["CELERY_BROKER_URL"] == f"sqla+postgresql+psycopg://plimsoll_broker@/broker?host={host}"
    assert told["TRACKING_STORE_URL"] == f"postgresql+psycopg://plimsoll_tracking@/tracking?host={host}"


def test_addresses_on_ones_own_server_keep_the_login_and_choose_a_role():
    told = addresses.on_server("postgres://me:p%40ss@db:5433/gov?sslmode=require", None)
    assert told["PLIMSOLL_DB_APP"] == (
        "postgresql://me:p%40ss@db:5433/gov?sslmode=require&options=-c%20role%3Dplimsoll_app"
    )
    assert "search_path%3Dtracking" in told["TRACKING_STORE_URL"]
    with_owner = addresses.on_server("postgresql://run@db/gov", "postgresql://own@db/gov")
    assert with_owner["PLIMSOLL_DB_OWNER"].startswith("postgresql://own@db/gov?")
    assert with_owner["PLIMSOLL_DB_APP"].startswith("postgresql://run@db/gov?")


def test_options_already_in_the_address_are_kept():
    kept = addresses.acting_as("postgresql://u@h/d?options=-c%20statement_timeout%3D5s", "plimsoll_app")
    assert kept.endswith("options=-c%20statement_timeout%3D5s%20-c%20role%3Dplimsoll_app")


def test_the_record_holds_only_what_is_meant_to_be_handed_over(tmp_path):
    environment.write_record(tmp_path, dict.fromkeys(environment.HANDED_OVER, "x"), supervisor=1)
    record = json.loads((tmp_path / "run.env.json").read_text())
    assert set(record["environment"]) == set(environment.HANDED_OVER)
