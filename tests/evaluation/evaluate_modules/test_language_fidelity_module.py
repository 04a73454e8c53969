"""Language fidelity as a module: the values are those of the function."""

import pytest

from mblip.evaluation.metrics.language_fidelity import language_fidelity

OUTPUTS = ["Zwei Hunde spielen im Schnee", "Two dogs are playing in the snow", ""]


def test_the_module_gives_the_values_of_the_function(load_module):
    pytest.importorskip("py3langid", reason="py3langid is not installed: `pip install py3langid`")
    expected = language_fidelity(OUTPUTS, "de")
    assert load_module("language_fidelity").compute(predictions=OUTPUTS, language="de") == {
        "language_fidelity": expected.share,
        "found": ["de", "en", ""],
        "wrong_languages": {"en": 1},
        "num_empty": 1,
        "num_near": 0,
    }


def test_an_unknown_language_is_an_error(load_module):
    with pytest.raises(ValueError, match="Found the language 'German'"):
        load_module("language_fidelity").compute(predictions=OUTPUTS, language="German")
