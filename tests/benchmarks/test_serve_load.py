"""A small load test of `mblip serve`: a server of its own, OpenAI's client, broken requests and clients that leave."""

import pytest
import serve_load

from tests.tiny import tiny_model, tiny_processor


@pytest.mark.slow
@pytest.mark.usefixtures("_children_find_the_packages")
@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_a_server_under_load_answers_what_is_right_refuses_what_is_broken_and_keeps_its_memory(
    tmp_path, family, capsys
):
    tiny_model(family).save_pretrained(tmp_path)
    tiny_processor(family).save_pretrained(tmp_path)
    outcome = serve_load.main([str(tmp_path), "--clients", "4", "--requests", "150"])
    assert outcome.errors == []
    assert outcome.counts == {"answered": 62, "answered as a stream": 50, "left by the client": 13, "refused": 25}
    assert 0 < outcome.num_encoded <= outcome.num_asked
    before, after = outcome.megabytes[50], outcome.megabytes[150]
    assert after < before + 60  # one request's body and images
    assert "errors: 0" in capsys.readouterr().out
