"""Where webhooks may go, and their signatures."""

import base64
import hashlib
import hmac

import pytest

from runtime import webhook
from runtime.settings import Settings
from runtime.webhook import InvalidTargetError, Target
from runtime.worker.webhooks import WebhookFailedError, addresses_of

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def test_a_target_is_read() -> None:
    assert Target.of("https://example.com/a/b?c=d#e") == Target(
        is_secure=True, host="example.com", port=443, path="/a/b?c=d"
    )
    assert Target.of("http://[2606:4700::1]:81").authority == "[2606:4700::1]:81"
    assert Target.of("http://Example.com:80").authority == "example.com"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "ftp://example.com/",
        "http://",
        "http://user:word@example.com/",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "http://example.com/\n",
        "http://exämple.com/",
        "http://example.com/" + "a" * 2_000,
        "http://[::1/",
    ],
)
def test_other_texts_are_refused(url: str) -> None:
    with pytest.raises(InvalidTargetError):
        Target.of(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[::7f00:1]",
        "[::ffff:0:7f00:1]",
        "[::ffff:224.0.0.1]",
        "[fec0::1]",
        "192.0.0.192",
        "168.63.129.16",
        "localhost",
        "web.localhost",
        "printer.local",
    ],
)
def test_internal_hosts_need_to_be_allowed(host: str) -> None:
    target = Target.of(f"http://{host}/")
    with pytest.raises(InvalidTargetError, match="EYAS_CALLBACK_HOSTS"):
        target.check(allowed_hosts=())
    target.check(allowed_hosts=("other", target.host))
    target.check(allowed_hosts=("*",))
    target.check(allowed_hosts=(host,))


def test_public_hosts_need_not() -> None:
    for host in ("example.com", "93.184.215.14", "[2606:4700::1111]", "[64:ff9b::808:808]"):
        Target.of(f"http://{host}/").check(allowed_hosts=())


def test_a_name_is_judged_by_its_addresses_when_it_is_sent_to() -> None:
    target = Target(is_secure=False, host="localhost", port=80, path="/")
    with pytest.raises(InvalidTargetError, match="internal"):
        addresses_of(target, Settings.from_environment({}))
    settings = Settings.from_environment({"EYAS_CALLBACK_HOSTS": "localhost"})
    assert "127.0.0.1" in addresses_of(target, settings)


def test_a_name_that_can_have_no_address_is_no_target() -> None:
    target = Target.of(f"http://{'a' * 64}.com/")
    with pytest.raises(InvalidTargetError, match="no name of a host"):
        addresses_of(target, Settings.from_environment({}))


def test_a_name_that_is_not_found_may_be_later() -> None:
    with pytest.raises(WebhookFailedError):
        addresses_of(Target.of("http://a.invalid/"), Settings.from_environment({}))


def test_a_signature_is_that_of_the_specification() -> None:
    """The content that is signed: https://www.standardwebhooks.com, "Signature scheme"."""
    key = webhook.key_of(SECRET)
    assert key == bytes(range(24))
    headers = webhook.headers(key=key, message_id="m.1", timestamp=1_614_265_330, body=b'{"a":1}')
    version, _, signature = headers["webhook-signature"].partition(",")
    expected = hmac.new(key, b'm.1.1614265330.{"a":1}', hashlib.sha256).digest()
    assert (version, base64.b64decode(signature)) == ("v1", expected)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("m.1", "1614265330")


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_!!!!", "whsec_AAAA"])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        webhook.key_of(secret)
