"""The environment alone, and botocore's reading of it, say the same; a configuration file is always read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbsync.core.location import parse_location
from nbsync.core.options import Options
from nbsync.errors import ConfigError, UsageError
from nbsync.s3 import account
from nbsync.s3.account import Account

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "SECRET"}
ENDPOINT = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9/base"}
ENVIRONMENTS = [
    {**KEYS, **ENDPOINT},
    {**KEYS, **ENDPOINT, "AWS_SESSION_TOKEN": "T", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"},
    {**KEYS, **ENDPOINT, "AWS_SECURITY_TOKEN": "T", "AWS_DEFAULT_REGION": "eu-west-2"},
    {**KEYS, "AWS_ENDPOINT_URL_S3": "https://h", "AWS_ENDPOINT_URL": "http://other", "AWS_CA_BUNDLE": "/ca.pem"},
    {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1"},
]


def seen(options: Options) -> tuple[object, object]:
    made = Account(options)
    return made.target(parse_location("my-bucket/p")), tuple(made.credentials()() or ())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("options", [Options(), Options(addressing_style="virtual"), Options(no_sign_request=True)])
def test_the_same_as_botocore_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], options: Options
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plain = seen(options)
    monkeypatch.setattr(account, "_has_no_configuration", lambda: False)
    assert seen(options) == plain


def test_a_configuration_file_is_read(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[default]\nregion = eu-north-1\ns3 =\n  addressing_style = virtual\n")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": "http://s3.test:9"}.items():
        monkeypatch.setenv(name, value)
    target = Account(Options()).target(parse_location("my-bucket"))
    assert (target.region, target.host) == ("eu-north-1", "my-bucket.s3.test")


@pytest.mark.parametrize("region", ["eu\r\nx-evil: 1", "eu west", "-eu", "eu-", "é", "a" * 64])
def test_what_is_no_region_is_told(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    for name, value in {**KEYS, **ENDPOINT, "AWS_REGION": region}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="is not the name of a region"):
        Account(Options())


def test_what_a_program_says_is_one_line(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / ".aws").mkdir()
    (home / "program").write_text("import sys; sys.exit('log in\\n first\\n')")
    (home / ".aws" / "config").write_text(f"[default]\ncredential_process = {sys.executable} {home / 'program'}\n")
    with pytest.raises(ConfigError, match="log in first") as caught:
        Account(Options()).credentials()
    assert "\\n" not in str(caught.value)


@pytest.mark.parametrize("attempts", ["1", "0", "5"])
def test_retries_are_attempts_but_the_first(monkeypatch: pytest.MonkeyPatch, attempts: str) -> None:
    for name, value in {**KEYS, **ENDPOINT, "AWS_MAX_ATTEMPTS": attempts}.items():
        monkeypatch.setenv(name, value)
    assert Account(Options()).retries == max(0, int(attempts) - 1)
    assert Account(Options(retries=3)).retries == 3


def test_half_a_key_and_an_unknown_profile_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    with pytest.raises(ConfigError, match="credentials could not be loaded"):
        Account(Options()).credentials()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="nobody"):
        Account(Options())


def test_botocore_is_not_imported_where_the_environment_says_all() -> None:
    code = (
        "import sys; from nbsync.s3.account import Account; from nbsync.core.options import Options;"
        "from nbsync.core.location import parse_location;"
        "a = Account(Options()); a.credentials()(); a.target(parse_location('my-bucket'));"
        "sys.exit('botocore' in sys.modules)"
    )
    environment = {**KEYS, **ENDPOINT, "HOME": "/nonexistent", "PATH": ""}
    root = str(Path(__file__).parents[3])
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://K:s3cr3t@h:99999",
        "ftp://K:s3cr3t@h",
        "https://K:s3cr3t@h/?x=1",
        "http://K:s3cr3t@",
        "https://s3cr3t@[h",
    ],
)
def test_a_password_in_a_wrong_url_is_never_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        Account(Options(endpoint_url=url)).target(parse_location("my-bucket"))
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a b", "http://127.0.0.1:9/\u00e9", "http://\u00e9.example", "http://h "]
)
def test_a_url_that_no_request_can_carry_is_told(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="is not a URL"):
        Account(Options(endpoint_url=url)).target(parse_location("my-bucket"))


@pytest.mark.parametrize("told", [
    "endpoint_url = ftp://user:PASSWORD@host", "endpoint_url = http://host/?X-Amz-Signature=PASSWORD",
    "endpoint_url = http://user:PASSWORD w@host", "s3 =\n  addressing_style = sideways",
    "s3 = PASSWORD", "services =\n  a = PASSWORD", "services = x\n[services x]\ns3 = PASSWORD",
    "endpoint_url =\n  a = PASSWORD", "source_profile =\n  a = b\nregion =\n  a = b",
])  # fmt: skip
def test_a_wrong_configuration_is_told_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, home: Path, told: str
) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(f"[default]\nregion = eu-north-1\n{told}\n")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ConfigError, UsageError)) as refused:
        Account(Options()).target(parse_location("my-bucket"))
    assert "PASSWORD" not in str(refused.value)
