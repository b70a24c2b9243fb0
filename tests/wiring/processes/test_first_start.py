"""What the settings make in the state."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tocsin.config import load_settings
from tocsin.state.engine import reading
from tocsin.state.tables import channel
from tocsin.wiring.processes.first_start import apply_webhook, open_server_state


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
