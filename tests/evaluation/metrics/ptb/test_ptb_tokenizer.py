"""The PTB tokenizer against what Java gave for the same texts (pycocoevalcap 1.2, CoreNLP 3.4.1), written out here.

Each text was a document of its own. `test_ptb_java.py` compares with Java itself, where there is one.
"""

import pytest

from mblip.evaluation.metrics.ptb import ptb_tokenize

WORDS_AND_PUNCTUATION = {
    "A man, a plan: a canal!": "a man a plan a canal",
    "Two dogs... and one cat?!": "two dogs and one cat ?!",
    "  leading   and trailing  ": "leading and trailing",
    "": "",
    "   ": "",
    "?": "",
    "wow!! really??": "wow !! really ??",
    "end.Begin, wow!ok; what?no": "end.begin wow!ok what?no",
    'He said: "Stop" -- and `left\'.': "he said stop and left",
    "(a) [b] {c} <d": "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb- < d",
    "50% of all, and/or none": "50 % of all and/or none",
    "a -- b --- c ---- d ----- e – f — g": "a b c d ----- e f g",
    "x_y __ z ** *** # ## @ @@": "x_y __ z ** *** # ## @ @@",
    "Mr-Smith well-known mother-in-law's 2-3 mid-1990s,": "mr-smith well-known mother-in-law 's 2-3 mid-1990s",
    "tic-tac-toe., a-b., AT&T., dog., 1.,": "tic-tac-toe. a-b. at&t. dog. 1.",
    "Line one\nline two": "line one line two",
}
CONTRACTIONS = {
    "I can't, won't, don't and DIDN'T": "i ca n't wo n't do n't and did n't",
    "it's the dog's; dogs' and James'": "it 's the dog 's dogs and james",
    "we'll they're I'd you've I'm": "we 'll they 're i 'd you 've i 'm",
    "cannot gonna gotta wanna gimme lemme 'tis 'twas": "can not gon na got ta wan na gim me lem me 't is 't was",
    "isn’t it’s we’re ‘quoted’ “quoted”": "is n't it 's we 're quoted quoted",
    "o'clock O'Brien y'all c'mon 'em rock 'n' roll 'cause": "o'clock o'brien y' all c'mon 'em rock 'n' roll 'cause",
    "the '90s and '90 or 1990's": "the '90s and '90 or 1990 's",
    "l'homme d'Avignon aujourd'hui qu'il c'est": "l'homme d'avignon aujourd hui qu'il c'est",
    "dell'arte nell'acqua un'altra": "dell arte nell acqua un altra",
    "don&apos;t &quot;quoted&quot;": "do n't quoted",
}
ABBREVIATIONS = {
    "Mr. and Mrs. Smith of St. Louis vs. Dr. No": "mr. and mrs. smith of st. louis vs. dr. no",
    "in the U.S. and the U.S. The end": "in the u.s. and the u.s. the end",
    "at 5 a.m. or p.m., e.g. i.e. etc. and etc.": "at 5 a.m. or p.m. e.g. i.e. etc. and etc.",
    "vitamin C. The end": "vitamin c the end",
    "vitamin C. the end": "vitamin c. the end",
    "Jan. 5, Sept. 9; Jan. 5": "jan. 5 sept. 9 jan. 5",
    "no. 5 and No. He said no.": "no. 5 and no he said no",
    "fig. 3 and fig. leaf": "fig. 3 and fig leaf",
    "Acme Inc. Foo Co. Ltd. Pty. Ltd. Bar Corp.": "acme inc. foo co. ltd. pty. ltd. bar corp.",
    "Ph.D. M.Sc. a.k.a. J.R.R. Tolkien": "ph.d. m.sc a.k.a. j.r.r. tolkien",
    "Canada-U.S. U.S.-U.K. non-U.S. team": "canada-u.s. u.s.-u.k. non-u.s. team",
    "ill. Ill. miss. Miss. wash. Wash.": "ill ill. miss miss. wash wash.",
}
NUMBERS = {
    "1,000.50 and .5, -3 +4": "1,000.50 and .5 -3 +4",
    "1/2 cup, 1 1/2 cups, 3-1/2 cups": "1/2 cup 1\xa01/2 cups 3-1/2 cups",
    "½ cup ¼ ⅓ ⅔ ⅝": "1/2 cup 1/4 1/3 2/3 ⅝",
    "10:30 on 12/05/2011 or 5-6-12": "10:30 on 12/05/2011 or 5-6-12",
    "call 555-1234 or (555) 555-1234": "call 555-1234 or -lrb-555-rrb-\xa0555-1234",
    "+1 212 555 1234, 212.555.1234": "+1 212\xa0555\xa01234 212.555.1234",
    "$5 US$10 £5 €7 ¥8 5¢ ₹9": "$ 5 us$ 10 # 5 $ 7 ¥ 8 5 cents 9",
    "5'10\" 6ft 2x4 4x4s 1st 2nd 3D": "5 10 6ft 2x4 4x4s 1st 2nd 3d",
    "H₂O m² x³ 10⁻³ 5° 90°C": "h ₂ o m ² x ³ 10 ⁻³ 5 ° 90 ° c",
    "24/7 9-11 the 90's 100% #1": "24/7 9-11 the 90 's 100 % # 1",
    "2011-05-12T10:00:00Z": "2011-05-12t10 :00:00 z",
    "٣٤ १२ 12万 １２": "٣٤ १२ 12万 １２",
}
ADDRESSES = {
    "see http://x.com/a,b. or https://a.b/c?d=e&f.": "see http://x.com/a,b or https://a.b/c?d=e&f",
    "www.foo.com foo.com/bar, bar.org. A.COM": "www.foo.com foo.com/bar bar.org a.com",
    "mail x.y@z.com, <x@y.org> now": "mail x.y@z.com, <x@y.org> now",
    "@name #tag #Tag1 #日本 a@b": "@name #tag #tag 1 #日本 a@b",
    "photo.jpg, a.txt and notes.PDF. end": "photo.jpg a.txt and notes.pdf end",
    "C++ c# F# A&B R&D S&P-500": "c++ c# f# a&b r&d s&p-500",
}
MARKUP = {
    '<b>bold</b> <a href="x y">z</a> <br/>': '<b> bold </b> <a\xa0href="x\xa0y"> z </a> <br/>',
    '<!-- note --> <?xml version="1"?> < b >': '<!--\xa0note\xa0--> <?xml\xa0version="1"?> < b >',
    "&amp; &lt;b&gt; &nbsp;x &eacute;t&eacute; &mdash; &#123; &foo;": "& < b > x &eacute;t&eacute; &#123; & foo",
    "a<b a<b> 3<4 <3 << >>": "a < b a <b> 3 < 4 < 3 << >>",
}
SMILEYS = {
    ":) ;-) :P =D :( x": ":-rrb- ;--rrb- :p =d :-lrb- x",
    "(^_^) >_< -_- x_x": "-lrb-^_^-rrb- >_< -_- x_x",
    "😀 a😀b 👩\u200d👩\u200d👧 🇩🇪 ♥ ★ ☺": "a b ♥ ★ ☺",
}
QUOTES = {
    "'single' ''double'' ``latex''": "single double latex",
    "„deutsch“ «français» ‹x› ‚y‘": "„ deutsch français x ‚ y",
    "“”’’ „“ «»": "``'' „`` ``''",
    "' '' ''' ''''": "",
    "a'b a' 'a 'A b": "a b a a a b",
}
SCRIPTS = {
    "Ein Mädchen läuft über die Straße.": "ein mädchen läuft über die straße",
    "Девушка, ёлка; «да».": "девушка ёлка да",
    "एक कुत्ता पानी में।  क्\u200dया": "एक कुत्ता पानी में । क् या",
    "หมาวิ่งในน้ำ": "หมาวิ่งในน้ำ",
    "一只狗，在水里。「好」、吧": "一只狗 ， 在水里 。 好 、 吧",
    "犬が\u3000走る。コーヒー・ミルク": "犬が 走る 。 コーヒー ・ ミルク",
    "개가 달린다.": "개가 달린다",
    'ילד רץ ב"ק ת״א': "ילד רץ ב ק ת ״ א",
    "كلب يجري، في الماء؟": "كلب يجري ، في الماء ؟",
    "یک سگ می\u200cدود": "یک سگ می دود",
    "Con chó chạy trên cỏ": "con chó chạy trên cỏ",
    "Ένας σκύλος· ΟΔΟΣ ΑΣ-Β": "ένας σκύλος · οδος ασ-β",
    "İSTANBUL ısı": "i\u0307stanbul ısı",
    "బంతి ఆడుతున్న కుక్క": "బంతి ఆడుతున్న కుక్క",
    "மீன் பிடிக்கிறார்": "மீன் பிடிக்கிறார்",
    "ခွေးတစ်ကောင်": "ခ တစ က င",
    "𠮷野家 a𐐀b": "野家 a b",
    "Ⅳ ⅳ Ⓐ ª º": "ⓐ ª º",
    "한국어 𝒳": "한국어",
}
CHARACTERS = {
    "soft\xadhyphen \xad a\xad": "softhyphen a",
    "a\xa0b\u2009c\u202fd": "a b c d",
    "e\u0301 cafe\u0301": "e\u0301 cafe\u0301",
    "zero\u200bwidth\u200djoiner \ufeffx": "zero width joiner x",
    "tab\there": "tab here",
    "null\x00x bell\x07x del\x7fx": "null x bell x del x",
    "\x91a\x92 \x93b\x94 \x96 \x85": "a b",
    "• · … ‥ § © ™ ® ± × ÷ ≤ →": "• · § © ™ ® ± × ÷ ≤ →",
    "¡hola! ¿qué?": "¡ hola ¿ qué",
    "ab־ab ab״ab": "ab ־ ab ab ״ ab",
}
NEIGHBOURS = [
    (["vitamin C.", "The end"], ["vitamin c", "the end"]),
    (["vitamin C.", "the end"], ["vitamin c.", "the end"]),
    (["vitamin C."], ["vitamin c."]),
    (["fig.", "3 men"], ["fig.", "3 men"]),
    (["fig.", "men"], ["fig", "men"]),
    (["the '90", "x"], ["the '90", "x"]),
    (["the '90"], ["the 90"]),
    ([":(", "x"], [":-lrb-", "x"]),
    ([":("], ["-lrb-"]),
    (["jan.5", "x"], ["jan. 5", "x"]),
    (["jan.5"], ["jan. .5"]),
]


@pytest.mark.parametrize(("text", "expected"), WORDS_AND_PUNCTUATION.items())
def test_punctuation_goes_and_words_stay(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), CONTRACTIONS.items())
def test_contractions_and_possessives_are_two_tokens(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), ABBREVIATIONS.items())
def test_a_period_stays_with_abbreviations_alone(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), NUMBERS.items())
def test_numbers_dates_fractions_and_telephone_numbers_are_one_token(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_addresses_names_and_files_keep_their_punctuation(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), MARKUP.items())
def test_tags_are_tokens_and_entities_are_read(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), SMILEYS.items())
def test_smileys_of_ascii_stay_and_emoji_go(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), QUOTES.items())
def test_quotes_go_but_for_pairs_and_low_ones(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), SCRIPTS.items())
def test_every_script_is_divided_as_in_the_original(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("text", "expected"), CHARACTERS.items())
def test_odd_characters_join_divide_or_go(text, expected):
    assert " ".join(ptb_tokenize([text])[0]) == expected


@pytest.mark.parametrize(("texts", "expected"), NEIGHBOURS)
def test_a_rule_may_look_at_the_text_behind_but_takes_nothing_of_it(texts, expected):
    assert [" ".join(tokens) for tokens in ptb_tokenize(texts)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see 1", [["see", "1"], ["1/2", "cups"]]),
        ("1 ,", [["1"], ["1/2", "cups"]]),
    ],
)
def test_no_token_goes_on_in_the_next_text(text, expected):
    assert ptb_tokenize([text, "1/2 cups"]) == expected


def test_tokens_depend_on_no_text_before():
    texts = [text for group in (WORDS_AND_PUNCTUATION, NUMBERS, ADDRESSES, SCRIPTS) for text in group]
    assert ptb_tokenize([*texts, "a 1 1/2"])[-1] == ["a", "1\u00a01/2"]
    assert ptb_tokenize([*texts, *texts])[len(texts) :] == ptb_tokenize(texts)


def test_spaces_of_other_kinds_belong_to_the_run_of_spaces_before_them():
    assert ptb_tokenize(["\u2009foo.com", "a \u2009foo.com b", "http://x.com/\u3000", "x"]) == [
        ["\u2009foo.com"],
        ["a", "foo.com", "b"],
        ["http://x.com/"],
        ["x"],
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n", "\v", "\f", "\u2028", "\u2029"])
def test_every_kind_of_line_end_inside_a_text_is_a_space(line_end):
    assert ptb_tokenize([f"one{line_end}two", "three"]) == [["one", "two"], ["three"]]


@pytest.mark.parametrize("texts", [["<a b='x", "c'> d"], ["^.[^x= a", "b <>] d"]])
def test_a_tag_or_smiley_that_is_not_closed_in_its_text_is_none(texts):
    assert ptb_tokenize(texts) == [ptb_tokenize([text])[0] for text in texts]


def test_a_million_letters_and_a_lone_surrogate_are_words():
    assert ptb_tokenize(["a" * 1_000_000, "x \ud83d y"]) == [["a" * 1_000_000], ["x", "y"]]


def test_no_texts_have_no_tokens():
    assert ptb_tokenize([]) == []
