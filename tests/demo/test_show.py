from __future__ import annotations

import io

import pytest
from rich.console import Console

from mailferry.demo.show import show
from mailferry.demo.stage import LineShape, Stage
from mailferry.demo.verdict import Verdict
from mailferry.demo.view import verdict_table

QUICK = LineShape(delay_s=0.005, up_bits_per_s=50_000_000, down_bits_per_s=50_000_000)


@pytest.mark.timeout(90)
async def test_the_demonstration_comes_to_a_good_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.demo.show.UP_S", 0.5)
    monkeypatch.setattr("mailferry.demo.show.DOWN_S", 0.7)
    monkeypatch.setattr("mailferry.demo.mail_program.ROUNDS", 3)
    monkeypatch.setattr("mailferry.demo.mail_program.PAUSE_S", 0.1)
    console = Console(file=io.StringIO(), width=100)
    listeners: list[int] = []

    async def after(scene: Stage, verdict: Verdict) -> None:
        assert verdict.good
        listeners.extend(one.port for one in (await scene.node_status()).listeners)

    verdict = await show(console, QUICK, after)
    assert verdict.good, verdict
    assert verdict.asked == verdict.answered > 30
    assert len(listeners) == 2
    assert "is cut, and nobody can connect" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("lost", "word"), [(0, "good"), (1, "bad")])
def test_the_verdict_is_told(lost: int, word: str) -> None:
    verdict = Verdict(
        asked=9,
        answered=9,
        at_server=310,
        lost=lost,
        doubled=0,
        other_flags=0,
        other_content=0,
        mailboxes_wrong=0,
        sides_differ=0,
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(verdict_table(verdict))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert word in told
    assert "310" in told
