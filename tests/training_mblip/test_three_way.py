"""The command ranks the drawn world's counts in every way, and prints a row for each language."""

import re

from tiny import tiny_model, tiny_processor

from training_mblip.three_way import main


def test_the_command_prints_a_row_for_each_language(tmp_path, capsys):
    tiny_model("t5").save_pretrained(tmp_path)
    tiny_processor("t5").save_pretrained(tmp_path)
    main([str(tmp_path), "--languages", "en,zh", "--num_images", "2"])
    rows = capsys.readouterr().out.splitlines()
    share, count = r"\d+\.\d", r"\d+ \(\d+\)"
    row = rf"\| {{}} \| {share} \| {share} \| {share} \| [+-]{share} \[.*\](?: \| {count}){{{{6}}}} \|"
    assert len(rows) == 5
    for line, name in zip(rows[2:], ("en", "zh", "all"), strict=True):
        assert re.fullmatch(row.format(name), line), line
