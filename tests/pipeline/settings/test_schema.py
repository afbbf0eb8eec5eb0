"""Flag over environment over file over default; what is wrong is named."""

import pytest
from pydantic import SecretStr

from pipeline.errors import MissingError, UsageError
from pipeline.settings.schema import MASK, SECRETS, Settings, load_settings
from pipeline.settings.sources import variable_name


def load(tmp_path, flags=None, environ=None, file=None):
    if file is not None:
        (tmp_path / "ott.toml").write_text(file, encoding="utf-8")
    return load_settings(flags, environ or {}, tmp_path)


def test_the_defaults_are_those_of_the_contract(tmp_path):
    settings = load(tmp_path)
    expected = {
        "bootstrap_servers": "127.0.0.1:9092",
        "kafka_security_protocol": "PLAINTEXT",
        "app_id": "ott-risk",
        "topic_prefix": "",
        "partitions": 8,
        "replication_factor": 1,
        "commit_interval_ms": 1000,
        "session_timeout_ms": 10000,
        "standby_replicas": 0,
        "web_host": "127.0.0.1",
        "web_port": 8000,
        "instance_id": None,
        "rules": None,
        "pseudonym_key": None,
        "jwt_secret": None,
        "demo": False,
        "log_format": "text",
        "log_level": "info",
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert str(settings.state_dir) == "state"
    assert {settings.origin(name) for name in Settings.model_fields} == {"default"}


@pytest.mark.parametrize(
    ("flags", "environ", "file", "expected", "origin"),
    [
        ({"web_port": 1}, {"OTT_WEB_PORT": "2"}, "web_port = 3", 1, "flag --web-port"),
        ({"web_port": None}, {"OTT_WEB_PORT": "2"}, "web_port = 3", 2, "environment OTT_WEB_PORT"),
        ({}, {}, "web_port = 3", 3, "file {}/ott.toml, web_port"),
        ({}, {}, None, 8000, "default"),
        # A flag of zero or false is a flag that was given.
        ({"web_port": 0}, {"OTT_WEB_PORT": "2"}, None, 0, "flag --web-port"),
    ],
)
def test_the_nearest_source_wins_and_is_named(tmp_path, flags, environ, file, expected, origin):
    settings = load(tmp_path, flags, environ, file)
    assert settings.web_port == expected
    assert settings.origin("web_port") == origin.format(tmp_path)


def test_the_environment_is_the_processs_own_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("OTT_PARTITIONS", "3")
    monkeypatch.chdir(tmp_path)
    assert load_settings().partitions == 3


def test_ott_config_names_another_file_and_a_flag_wins_over_it(tmp_path):
    (tmp_path / "a.toml").write_text("partitions = 2")
    (tmp_path / "b.toml").write_text("partitions = 3")
    environ = {"OTT_CONFIG": "a.toml"}
    assert load(tmp_path, {}, environ, "partitions = 1").partitions == 2
    assert load(tmp_path, {"config": tmp_path / "b.toml"}, environ).partitions == 3


def test_a_named_file_that_is_not_there_is_missing_and_an_absent_ott_toml_is_not(tmp_path):
    load(tmp_path)
    with pytest.raises(MissingError, match=r"nope\.toml: No such file"):
        load(tmp_path, {}, {"OTT_CONFIG": "nope.toml"})


@pytest.mark.parametrize("content", ["web_port 3", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    path = tmp_path / "ott.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=r"ott\.toml is not TOML"):
        load(tmp_path)


def test_an_unknown_key_names_the_nearest_known_one(tmp_path):
    with pytest.raises(UsageError, match=r"ott\.toml: key web_prot is unknown; .* web_port$"):
        load(tmp_path, file="web_prot = 3")


@pytest.mark.parametrize("name", ["OTT_WEB_PROT", "OTT_web_port", "OTT_KAFKA_HOST"])
def test_an_unknown_variable_names_the_nearest_known_one(tmp_path, name):
    with pytest.raises(
        UsageError, match=f"environment variable {name} is unknown; the nearest known one is OTT_"
    ):
        load(tmp_path, environ={name: "1"})


def test_variables_of_others_do_not_matter(tmp_path):
    load(tmp_path, environ={"OTTAWA": "1", "PATH": "/bin", "_OTT_COMPLETE": "complete_bash"})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("web_port", "65536", "0 to 65535"),
        ("web_port", "eighty", "0 to 65535"),
        ("web_port", "-1", "0 to 65535"),
        ("web_port", "80.5", "0 to 65535"),
        ("partitions", "0", "1 to 10000"),
        ("bootstrap_servers", "kafka://host:9092", "HOST:PORT"),
        ("bootstrap_servers", "host", "HOST:PORT"),
        ("bootstrap_servers", "host:0", "HOST:PORT"),
        ("bootstrap_servers", "host:70000", "HOST:PORT"),
        ("bootstrap_servers", "a:1,,b:2", "HOST:PORT"),
        ("kafka_security_protocol", "TLS", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ("log_level", "warn", "warning"),
        ("log_format", "xml", "text or json"),
        ("app_id", "has space", "letters, digits"),
        ("topic_prefix", "a/b", "letters, digits"),
        ("demo", "perhaps", "true or false"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_place_and_what_is(tmp_path, name, value, allowed):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, environ={variable_name(name): value})
    message = caught.value.message
    assert message.startswith(f"{name} = '{value}' (environment {variable_name(name)}) is not allowed; ")
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("line", ["partitions = true", "web_host = 7", 'demo = "perhaps"'])
def test_a_value_of_another_type_in_the_file_is_not_allowed(tmp_path, line):
    with pytest.raises(UsageError, match="is not allowed"):
        load(tmp_path, file=line)


def test_all_wrong_values_are_told_at_once(tmp_path):
    with pytest.raises(UsageError, match=r"partitions = .*; .*web_port = "):
        load(tmp_path, environ={"OTT_PARTITIONS": "x", "OTT_WEB_PORT": "y"})


def test_an_empty_variable_counts_as_not_given_except_where_empty_is_a_value(tmp_path):
    settings = load(
        tmp_path,
        environ={"OTT_RULES": "", "OTT_WEB_PORT": "", "OTT_TOPIC_PREFIX": ""},
        file='topic_prefix = "dev."\nweb_port = 9',
    )
    assert (settings.rules, settings.web_port, settings.topic_prefix) == (None, 9, "")


def test_several_brokers_may_have_spaces_between_them(tmp_path):
    settings = load(tmp_path, {"bootstrap_servers": "a.example:9092, [::1]:9093"})
    assert settings.bootstrap_servers == "a.example:9092,[::1]:9093"


def test_the_topic_prefix_is_laid_before_every_name(tmp_path):
    assert load(tmp_path, {"topic_prefix": "dev."}).topic("raw-events") == "dev.raw-events"


def test_relative_paths_start_where_they_were_written(tmp_path):
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "other.toml").write_text('rules = "rules.toml"\nstate_dir = "/var/ott"')
    settings = load(tmp_path, {"config": elsewhere / "other.toml"})
    assert settings.rules == elsewhere / "rules.toml"
    assert str(settings.state_dir) == "/var/ott"
    assert load(tmp_path, environ={"OTT_RULES": "rules.toml"}).rules == tmp_path / "rules.toml"


SECRET = "s" * 32


def test_secrets_are_masked_wherever_settings_are_shown(tmp_path):
    settings = load(tmp_path, environ={variable_name(name): SECRET for name in SECRETS})
    rows = {row.name: row for row in settings.show()}
    assert list(rows) == list(Settings.model_fields)
    for name in SECRETS:
        assert rows[name].value == MASK
        assert rows[name].origin == f"environment {variable_name(name)}"
        assert isinstance(getattr(settings, name), SecretStr)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.show())


def test_a_secret_that_is_not_allowed_does_not_show_in_the_message(tmp_path):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, environ={"OTT_JWT_SECRET": "too-short"})
    assert "too-short" not in caught.value.message
    assert "at least 32 characters" in caught.value.message


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path, name):
    (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")
    variable = f"{variable_name(name)}_FILE"
    settings = load(tmp_path, environ={variable: str(tmp_path / "secret")})
    assert getattr(settings, name).get_secret_value() == SECRET
    assert settings.origin(name) == f"environment {variable}"
    assert (
        load(tmp_path, file=f'{name}_file = "secret"').show() != load_settings({}, {}, tmp_path / "x").show()
    )


def test_a_secret_given_twice_is_refused_and_one_whose_file_is_gone_is_missing(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    both = {"OTT_JWT_SECRET": SECRET, "OTT_JWT_SECRET_FILE": str(tmp_path / "secret")}
    with pytest.raises(UsageError, match="both OTT_JWT_SECRET and OTT_JWT_SECRET_FILE are given"):
        load(tmp_path, environ=both)
    with pytest.raises(MissingError, match=r"OTT_JWT_SECRET_FILE: cannot read .*nope"):
        load(tmp_path, environ={"OTT_JWT_SECRET_FILE": "nope"})


def test_settings_do_not_change_after_the_start(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).partitions = 9


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_the_demo_listens_on_loopback_only(tmp_path, host):
    load(tmp_path, {"web_host": host})
    with pytest.raises(UsageError, match="loopback only"):
        load(tmp_path, {"web_host": host, "demo": True})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_demo_takes_any_loopback_address(tmp_path, host):
    assert load(tmp_path, {"web_host": host, "demo": True}).demo


def test_a_plain_connection_needs_nothing_but_the_address(tmp_path):
    assert load(tmp_path).kafka_client_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_sasl_needs_a_user_and_a_password(tmp_path):
    environ = {"OTT_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext", "OTT_KAFKA_SASL_USERNAME": "u"}
    with pytest.raises(UsageError, match="needs kafka_sasl_username and kafka_sasl_password"):
        load(tmp_path, environ=environ)
    options = load(
        tmp_path,
        environ={**environ, "OTT_KAFKA_SASL_PASSWORD": "p", "OTT_KAFKA_SASL_MECHANISM": "scram-sha-512"},
    ).kafka_client_options()
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_ssl_checks_the_brokers_certificate_and_name_unless_told_otherwise(tmp_path):
    protocol = {"OTT_KAFKA_SECURITY_PROTOCOL": "SSL"}
    context = load(tmp_path, environ=protocol).kafka_client_options()["ssl_context"]
    assert (context.check_hostname, context.verify_mode.name) == (True, "CERT_REQUIRED")
    relaxed = {**protocol, "OTT_KAFKA_SSL_CHECK_HOSTNAME": "false"}
    context = load(tmp_path, environ=relaxed).kafka_client_options()["ssl_context"]
    assert (context.check_hostname, context.verify_mode.name) == (False, "CERT_REQUIRED")


@pytest.mark.parametrize("name", ["cafile", "certfile"])
def test_a_certificate_that_cannot_be_used_is_named(tmp_path, name):
    environ = {"OTT_KAFKA_SECURITY_PROTOCOL": "SSL", f"OTT_KAFKA_SSL_{name.upper()}": "nope.pem"}
    with pytest.raises(MissingError, match=rf"kafka_ssl_{name} .*nope\.pem cannot be used: No such file"):
        load(tmp_path, environ=environ).kafka_client_options()


def test_a_key_without_its_certificate_is_refused(tmp_path):
    with pytest.raises(UsageError, match="kafka_ssl_keyfile needs kafka_ssl_certfile"):
        load(tmp_path, environ={"OTT_KAFKA_SSL_KEYFILE": "key.pem"})


def test_another_process_in_another_directory_gets_the_same_settings_from_the_environment(tmp_path):
    settings = load(
        tmp_path,
        environ={
            "OTT_DEMO": "true",
            "OTT_TOPIC_PREFIX": "",
            "OTT_JWT_SECRET": "a secret of the tests, 32 characters and more",
            "OTT_USERS_FILE": "users.json",
        },
        file="rules = 'rules.toml'\nweb_port = 0",
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = load_settings(environ=settings.environment(), cwd=elsewhere)
    assert again.model_dump() == {**settings.model_dump(), "state_dir": settings.state_dir.absolute()}
    assert again.rules == tmp_path / "rules.toml"
