"""What the settings make in the state."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.config import load_settings
from tocsin.model.errors import WrongState
from tocsin.state.engine import reading
from tocsin.state.tables import channel
from tocsin.wiring.first_start import apply_webhook, open_server_state


def test_a_webhook_that_left_the_settings_is_used_no_longer(tmp_path: Path) -> None:
    """The channel follows the settings: made, disabled, enabled again with the secret that it had."""
    engine = open_server_state(load_settings(data_dir=tmp_path), 0)
    found = []
    for url in ("https://soc.example.org/", "", "https://soc.example.org/"):
        apply_webhook(engine, load_settings(data_dir=tmp_path, webhook_url=url))
        with reading(engine) as connection:
            found.append(connection.execute(sa.select(channel.c.enabled, channel.c.config)).one())
    engine.dispose()
    assert [row.enabled for row in found] == [True, False, True]
    assert found[0].config == found[2].config


def test_what_is_no_state_is_said_to_be_none(tmp_path: Path) -> None:
    """A broken file is named in one sentence."""
    (tmp_path / "state.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(WrongState, match=r"state\.db cannot be opened: file is not a database"):
        open_server_state(load_settings(data_dir=tmp_path), 0)
