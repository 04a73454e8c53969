import multiprocessing
import signal
import time
from collections import Counter

import pytest

from mblip.data.languages import get_language
from mblip.mix.translation.cache import CachedEngine, TranslationCache
from tests.mix.translation.fake_engines import FakeEngine

FORK = multiprocessing.get_context("fork")
TEXTS = [f"text {number}" for number in range(300)]
TEXTS_PER_COMMIT = 20
ENGLISH, GERMAN, FRENCH = (get_language(code) for code in ("en", "de", "fr"))


def upper(text, source, target):
    return f"{target}:{text.upper()}"


@pytest.fixture
def cache(tmp_path):
    return TranslationCache(tmp_path / "folder" / "translations.sqlite")


def test_nothing_is_translated_twice(cache):
    engine = FakeEngine(upper)
    cached = CachedEngine(engine, cache)
    assert cached.translate(["dog", "a", "dog"], ENGLISH, GERMAN) == ["de:DOG", "de:A", "de:DOG"]
    assert cached.translate(["cat", "dog", "a"], ENGLISH, GERMAN) == ["de:CAT", "de:DOG", "de:A"]
    assert engine.calls == [("a", "dog"), ("cat",)]  # the shortest first
    assert (cached.name, cached.model, cached.revision) == ("fake", "none", "1")


@pytest.mark.parametrize("changed", [{"name": "other"}, {"model": "other"}, {"revision": "2"}])
def test_another_engine_model_or_revision_translates_anew(cache, changed):
    CachedEngine(FakeEngine(upper), cache).translate(["dog"], ENGLISH, GERMAN)
    other = FakeEngine(lambda *_: "anew", **changed)
    assert CachedEngine(other, cache).translate(["dog"], ENGLISH, GERMAN) == ["anew"]


def test_each_direction_is_kept_apart(cache):
    cached = CachedEngine(FakeEngine(upper), cache)
    assert cached.translate(["dog"], ENGLISH, GERMAN) == ["de:DOG"]
    assert cached.translate(["dog"], ENGLISH, FRENCH) == ["fr:DOG"]
    assert cached.translate(["dog"], FRENCH, GERMAN) == ["de:DOG"]
    assert len(cached.engine.calls) == 3


def test_many_texts_are_written_in_parts(cache):
    engine = FakeEngine(upper)
    texts = [f"{number:04d}" for number in range(1203)]
    cached = CachedEngine(engine, cache, texts_per_commit=500)
    assert cached.translate(texts, ENGLISH, GERMAN) == [f"de:{text}" for text in texts]
    assert [len(call) for call in engine.calls] == [500, 500, 203]
    assert cached.translate(texts[::-1], ENGLISH, GERMAN) == [f"de:{text}" for text in reversed(texts)]
    assert len(engine.calls) == 3


def test_what_another_process_wrote_first_stays(cache):
    cached = CachedEngine(FakeEngine(upper), cache)

    def overtaken(text, source, target):
        CachedEngine(FakeEngine(lambda *_: "first"), TranslationCache(cache.path)).translate([text], ENGLISH, GERMAN)
        return "second"

    cached.engine = FakeEngine(overtaken)
    assert cached.translate(["dog"], ENGLISH, GERMAN) == ["first"]


def translate_all(cache_path, log_path, seconds_per_call, outputs=None):
    """What a process of its own does: translate `TEXTS`, writing what its engine is asked for into a log."""

    def rule(text, source, target):
        time.sleep(seconds_per_call / TEXTS_PER_COMMIT)
        with log_path.open("a") as file:
            file.write(f"{text}\n")
        return f"[{text}]"

    cached = CachedEngine(FakeEngine(rule), TranslationCache(cache_path), texts_per_commit=TEXTS_PER_COMMIT)
    translations = cached.translate(TEXTS, ENGLISH, GERMAN)
    if outputs is not None:
        outputs.put(translations)
    return translations


def test_a_killed_process_leaves_what_it_finished(tmp_path):
    cache_path, log_path = tmp_path / "translations.sqlite", tmp_path / "log"
    log_path.touch()
    for num_texts in (50, 130):  # killed twice, in the midst of a part
        writer = FORK.Process(target=translate_all, args=(cache_path, log_path, 0.1))
        writer.start()
        while len(log_path.read_text().splitlines()) < num_texts:
            assert writer.is_alive()
            time.sleep(0.005)
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
    assert translate_all(cache_path, log_path, 0.0) == [f"[{text}]" for text in TEXTS]
    counts = Counter(log_path.read_text().splitlines())
    assert set(counts) == set(TEXTS)
    twice = [text for text, count in counts.items() if count > 1]
    assert 0 < len(twice) <= 2 * TEXTS_PER_COMMIT  # at each kill, the part that was not written yet


def test_several_processes_share_a_cache(tmp_path):
    outputs = FORK.Queue()
    arguments = (tmp_path / "translations.sqlite", tmp_path / "log", 0.01, outputs)
    workers = [FORK.Process(target=translate_all, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert [outputs.get(timeout=300) for _ in workers] == [[f"[{text}]" for text in TEXTS]] * 4
    for worker in workers:
        worker.join()


def test_a_full_disk_is_told_and_loses_nothing(cache):
    cached = CachedEngine(FakeEngine(upper), cache, texts_per_commit=10)
    cached.translate(["dog"], ENGLISH, GERMAN)
    num_pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]
    cache._connection.execute(f"PRAGMA max_page_count = {num_pages + 2}")
    texts = [f"{'long ' * 100}{number:03d}" for number in range(60)]
    with pytest.raises(OSError, match=r"no room for .*translations.sqlite.*run the same command again"):
        cached.translate(texts, ENGLISH, GERMAN)
    cache._connection.execute("PRAGMA max_page_count = 100000")
    num_asked = len(cached.engine.asked)
    assert cached.translate(["dog", *texts], ENGLISH, GERMAN) == ["de:DOG", *(f"de:{text.upper()}" for text in texts)]
    assert len(cached.engine.asked) - num_asked == 60 - (num_asked - 1 - 10)  # the part that failed comes again


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "translations.sqlite"
    path.write_text("something else" * 100)
    with pytest.raises(ValueError, match="cannot be used as a cache of translations: file is not a database"):
        TranslationCache(path)
