"""What a user does on the live page, and what is seen there."""

from __future__ import annotations

import re

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=20_000)  # the machine may have other things to do
PHONE = 390, 844
INK = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(v => v > 0)"


def push(page, text):
    page.get_by_label("Push steps").fill(text)
    page.get_by_label("Push steps").press("Enter")


def after(page, step, number=0):
    """Waits for the answer after a step, of one of the sequences; gives what it says."""
    answer = page.locator(".said").nth(number)
    expect(answer.locator("small")).to_have_text(re.compile(rf"^after step {step}(:|$)"))
    return answer.locator(".what").inner_text().split("\n")[0]


def play(page, path):
    page.get_by_label("Play a file").set_input_files(path)
    expect(page.locator("#play")).to_be_enabled()
    page.get_by_label("Speed").fill("6")
    page.locator("#play").click()
