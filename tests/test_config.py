"""What a person reads when a setting is wrong, and what the settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config import EVERY_ADDRESS, load_settings, strange_variables
from tocsin.model.errors import InvalidSetting


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("port = = 3", "tocsin.toml: not TOML: "),
        ("prt = 3", "tocsin.toml: prt is not a setting; did you mean port?"),
        ('webhook_url = "ftp://example.org"', "webhook_url: 'ftp://example.org' is no http:// or https:// URL"),
        ('webhook_secret = "hush"', "webhook_secret: must be whsec_ and base64"),
        ('webhook_secret = "whsec_%%"', "webhook_secret: must be whsec_ and base64"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    """The sentence names the file, the setting and the reason."""
    (tmp_path / "tocsin.toml").write_text(content)
    with pytest.raises(InvalidSetting) as raised:
        load_settings(tmp_path / "tocsin.toml")
    assert said in str(raised.value)


def test_a_variable_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in a variable is JSON; whoever writes it otherwise reads which variable and how."""
    monkeypatch.setenv("TOCSIN_RULES", "/etc/rules")
    with pytest.raises(InvalidSetting, match="TOCSIN_RULES: not JSON"):
        load_settings()


def test_a_misspelt_variable_is_refused_and_another_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is nearly a setting is a mistake; what is none, as the token of a script, keeps nothing from working."""
    monkeypatch.setenv("TOCSIN_TOKEN", "x")
    monkeypatch.setenv("TOCSIN_FEED_TOKEN", "x")
    load_settings()
    assert "TOCSIN_TOKEN" in strange_variables(["TOCSIN_TOKEN", "TOCSIN_FEED_TOKEN", "TOCSIN_HOST", "HOME"])
    assert strange_variables(["TOCSIN_FEED_TOKEN", "tocsin_host", "HOME"]) == []
    monkeypatch.setenv("TOCSIN_RULE", "[]")
    with pytest.raises(InvalidSetting, match="TOCSIN_RULE is not a setting; did you mean TOCSIN_RULES"):
        load_settings()


@pytest.mark.parametrize("every", EVERY_ADDRESS)
def test_the_url_can_be_reached_when_every_address_is_listened_on(every: str) -> None:
    """Nobody can open https://0.0.0.0, so the URL names this host."""
    url = load_settings(host=every, port=8321).url
    assert url.startswith("https://")
    assert url.endswith(":8321")
    assert every not in url.replace("[", "/").replace("]", "/").split("/")
