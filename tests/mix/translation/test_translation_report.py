import json

from mblip.mix.translation.checks import Failure
from mblip.mix.translation.report import IN_PIECES, TRANSLATED, TranslationReport

TABLE = """\
| language | translated | in pieces | refused: length | refused: repetition |
|---|---:|---:|---:|---:|
| German | 1,200 | 1 | 0 | 1 |
| Maori | 1 | 0 | 5 | 0 |

py3langid does not know Maori: checked by script alone.
- length: mi: 'a dog' -> 'x \\| \\<unk>' (case 0)
- length: mi: 'a dog' -> 'x \\| \\<unk>' (case 1)
- length: mi: 'a dog' -> 'x \\| \\<unk>' (case 2)
- repetition: de: 'a' -> 'b' (c)"""


def filled(num_german):
    report = TranslationReport()
    for _ in range(num_german):
        report.add("de", TRANSLATED)
    return report


def test_the_table_has_a_line_per_language_and_a_column_per_cause():
    report = filled(1200)
    report.add("de", IN_PIECES)
    report.add("mi", TRANSLATED)
    for number in range(5):
        report.add_failure("mi", Failure("length", f"case {number}"), source_text="a dog", translation="x | <unk>")
    report.add_failure("de", Failure("repetition", "c"), source_text="a", translation="b")
    assert report.table() == TABLE


def test_reports_of_workers_add_up_and_go_through_json():
    one, two = filled(2), filled(3)
    for report in (one, two):
        for number in range(2):
            failure = Failure("length", str(number))
            report.add_failure("de", failure, source_text="a", translation="b")
    one.add_report(TranslationReport.from_json(json.loads(json.dumps(two.as_json()))))
    assert one.outcomes == {("de", TRANSLATED): 5}
    assert one.failures == {("de", "length"): 4}
    assert one.such_as == {"length": ["de: 'a' -> 'b' (0)", "de: 'a' -> 'b' (1)", "de: 'a' -> 'b' (0)"]}
    assert TranslationReport.from_json(one.as_json()) == one
