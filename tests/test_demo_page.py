"""The page of `mblip demo` in headless Chromium, as a visitor has it: on a tiny model, and from a pushed Space."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,1000"
)
SECONDS = 120  # to wait for anything
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not found: apt install chromium chromium-driver"),
    pytest.mark.filterwarnings("default"),  # other people's
]


@contextmanager
def serving(command, folder, **environment):
    """The address of a page, served by a process that is ended behind it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = os.environ | {"GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": "1"} | environment
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=settings, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(10 * SECONDS):
            assert process.poll() is None, (folder / "server.log").read_text()
            try:
                urllib.request.urlopen(address).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose card names no languages, and images."""
    folder = tmp_path_factory.mktemp("demo")
    tiny_model("mt5").save_pretrained(folder / "model")
    tiny_processor("mt5").save_pretrained(folder / "model")
    Image.new("RGB", (40, 30), "red").save(folder / "red.png")
    Image.new("RGB", (40, 30), "blue").save(folder / "blue.png")
    (folder / "<i>broken<i>.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def address(folder):
    few = ["--batch_size", "1", "--max_new_tokens", "500"]  # so that six languages take a while
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with serving(["-m", "mblip", "demo", "model", *few], folder, PYTHONPATH=path) as address:
        yield address
    assert "Traceback" not in (folder / "server.log").read_text()


class Visitor:
    """A browser on the page."""

    def __init__(self, address, folder):
        webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        for switch in (*SWITCHES.split(), f"--user-data-dir={self.profile.name}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.folder = folder
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.get(address)
        self.wait_for("#caption")

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def wait_until(self, holds):
        end = time.monotonic() + SECONDS
        while not (found := holds()):
            assert time.monotonic() < end, self.driver.find_element("tag name", "body").text
            time.sleep(0.1)
        return found

    def wait_for(self, selector):
        return self.wait_until(lambda: self.all(selector))[0]

    def upload(self, *names):
        before = len(self.all("#images img"))
        self.wait_for("#images input[type=file]").send_keys("\n".join(str(self.folder / name) for name in names))
        self.wait_until(lambda: len(self.all("#images img")) >= before + len(names))

    def press(self, text):
        """Click the button of a text that can be seen; in one call, because the page may have hundreds of buttons."""
        click = """
            const button = [...document.querySelectorAll("button")]
                .find(button => button.textContent.trim() === arguments[0] && button.offsetHeight > 1);
            if (button) button.click();
            return Boolean(button)"""
        self.wait_until(lambda: self.driver.execute_script(click, text))

    def choose(self, *languages):
        """Choose these languages, and no others."""
        self.wait_for("#languages [title='Clear']").click()
        for language in languages:
            box = self.wait_for("#languages input")
            box.send_keys(language, "\n")
        self.wait_until(lambda: len(self.all("#languages .token")) == len(languages))

    def answers(self, where, number):
        """Language -> the text of its cell, once there is a verdict or a bar for so many."""
        self.wait_until(lambda: len(self.all(f"#{where} section :is(small, ul)")) == number)
        sections = self.all(f"#{where} section")
        return {each.get_attribute("data-language"): each.text.splitlines()[1:] for each in sections}

    def message(self, part):
        """The message that holds a text."""
        return self.wait_until(lambda: [each.text for each in self.all(".toast-body") if part in each.text])[0]

    def style(self, selector, name):
        return self.wait_for(selector).value_of_css_property(name)


@pytest.fixture
def visitor(address, folder):
    visitor = Visitor(address, folder)
    yield visitor
    visitor.close()


def test_captions_in_the_chosen_languages_with_arabic_on_the_right_and_nothing_from_the_network(visitor, address):
    visitor.upload("red.png")
    visitor.choose("Arabic", "Swahili")
    visitor.press("Caption")
    found = visitor.answers("captions", 2)
    assert list(found) == ["ar", "sw"]
    assert found["ar"][0] == found["sw"][0] != ""  # this model does not heed its prompt's language
    assert found["ar"][1].startswith("✗ another script: 0 of ")
    for code, direction in (("ar", "rtl"), ("sw", "ltr")):
        paragraph = f"#captions [data-language={code}] p"
        assert visitor.style(paragraph, "direction") == direction
        assert visitor.style(paragraph, "text-align") == "start"
    entries = [json.loads(entry["message"])["message"] for entry in visitor.driver.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in entries if each["method"] == "Network.requestWillBeSent"]
    asked = {url for url in sent if url.startswith(("http:", "https:", "ws:", "wss:"))}
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(address)] == []


def test_a_question_is_answered_freely_and_among_candidates_with_probabilities(visitor):
    visitor.upload("red.png")
    visitor.choose("English")
    visitor.press("Question")
    visitor.wait_for("#question textarea").send_keys("ما لون هذا؟")
    visitor.press("Ask")
    assert visitor.answers("answers", 1)["en"][0] != ""
    visitor.wait_for("#candidates textarea").send_keys("red\nblue")
    visitor.press("Ask")
    visitor.wait_for("#answers ul")
    shown = visitor.answers("answers", 1)["en"]
    assert {shown[0], shown[2]} == {"red", "blue"}
    shares = [float(share.removesuffix("%")) for share in (shown[1], shown[3])]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.11)


def test_errors_are_messages_and_what_was_there_stays(visitor):
    visitor.press("Caption")
    visitor.message("Found no image. Give at least one.")
    visitor.upload("red.png")
    visitor.choose("English")
    visitor.press("Caption")
    before = visitor.answers("captions", 1)
    visitor.upload("<i>broken<i>.png")
    visitor.press("Caption")
    message = visitor.message("broken")
    assert re.search(r"broken.*\.png cannot be read as an image \(not an image.*Choose another file\.", message)
    assert visitor.all(".toast-body i") == []
    assert "Traceback" not in visitor.driver.page_source
    assert visitor.answers("captions", 1) == before


@pytest.mark.parametrize("how", ["stop", "reload"])
def test_stopping_and_leaving_free_the_model_for_the_next_visitor(visitor, address, folder, how):
    visitor.upload("red.png")
    visitor.press("Caption")
    visitor.wait_for("#captions section small")
    if how == "stop":
        visitor.press("Stop")
        visitor.wait_until(lambda: any("stopped" in each.text for each in visitor.all(".state")))
    else:
        visitor.driver.refresh()
    other = Visitor(address, folder)
    other.upload("blue.png")
    other.choose("English")
    other.press("Caption")
    assert list(other.answers("captions", 1)) == ["en"]
    other.close()
    if how == "stop":
        assert 0 < len(visitor.all("#captions section small")) < 6


def test_two_visitors_at_once_each_get_their_own_answers(visitor, address, folder):
    other = Visitor(address, folder)
    for each, image, languages in ((visitor, "red.png", ("German", "Thai")), (other, "blue.png", ("Hindi", "Korean"))):
        each.upload(image)
        each.choose(*languages)
    for each in (visitor, other):
        each.press("Caption")
    assert list(visitor.answers("captions", 2)) == ["de", "th"]
    assert list(other.answers("captions", 2)) == ["hi", "ko"]
    other.close()
