"""docs/metrics.md is what the cards say, to the letter, and lacks no metric."""

from dataclasses import replace
from pathlib import Path

import pytest

from dyads.errors import ConfigError, DataError
from evaluation.cards import OK, STATUSES
from evaluation.registry import cards
from reporting import metrics_page

COMMITTED = Path(__file__).resolve().parents[2] / "docs/metrics.md"


def test_the_committed_page_is_what_the_cards_say():
    assert COMMITTED.read_text(encoding="utf-8") == metrics_page.document(), (
        "run `python -m reporting.metrics_page --write docs/metrics.md`"
    )


def test_every_metric_and_status_is_on_the_page():
    page = metrics_page.document()
    for card in cards().values():
        assert f"\n## {card.name}\n" in page and card.definition in page and card.equation in page
        assert all(f"- {text}\n" in page for text in card.disagreements)
    assert all(f"- `{status}`: " in page for status in STATUSES if status != OK)
    assert page.count("$$") == 2 * len(cards())


def test_a_section_names_orders_blindness_and_reasons():
    card = replace(
        cards()["psnr"],
        separates=(("ground_truth", "frozen_reference"), ("oracle_expression", 0.8)),
        blind=(("vae_round_trip", "shuffled_partner"),),
        unordered="it is a test",
        range=(-1.5, float("inf")),
    )
    text = metrics_page.section(card)
    assert "**Must order** (on frame): truth > frozen; oracle reaches 0.8." in text
    assert "**Cannot tell apart:** VAE ~ shuffled." in text and "**No usual order:** it is a test." in text
    assert "**Range:** -1.5 to ∞." in text


def test_the_command_writes_and_checks(tmp_path, capsys):
    page = tmp_path / "docs" / "metrics.md"
    with pytest.raises(DataError, match="is not what the cards say"):
        metrics_page.main(["--check", str(page)])
    metrics_page.main(["--write", str(page)])
    metrics_page.main(["--check", str(page)])
    metrics_page.main([])
    assert capsys.readouterr().out == page.read_text(encoding="utf-8")
    page.write_text(page.read_text(encoding="utf-8") + "by hand", encoding="utf-8")
    with pytest.raises(DataError, match="is not what the cards say"):
        metrics_page.main(["--check", str(page)])
    with pytest.raises(ConfigError, match="one of them"):
        metrics_page.main(["--check", str(page), "--write", str(page)])
