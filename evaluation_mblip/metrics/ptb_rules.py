r"""The rules of the PTB tokenizer, in order: what becomes a token, and how it is written.

At each place of a text the rule with the longest match wins, of several the first. What a rule looks at behind its
token (`followed_by`) counts for the length, but is read again for the next token. Where no rule matches, the character
is lost: white space, control characters, and what Unicode had not assigned (ptb_characters.py).

Source: the tables of the lexer in Stanford CoreNLP 3.4.1 (`edu.stanford.nlp.process.PTBLexer`, options as in
ptb_spelling.py). tests/evaluation_mblip/metrics/test_ptb_tables.py walks through them and through these rules in step.
Left out are rules of the original that make no difference once pycocoevalcap has removed the punctuation: they tell
opening from closing quotes, and whether the period of an abbreviation also ends the sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import ptb_spelling as spelling
from .ptb_abbreviations import ABBREVIATIONS
from .ptb_characters import DIGIT, LETTER, SYMBOL, WORD_CHARACTER
from .ptb_patterns import Node, parse_pattern


@dataclass(frozen=True)
class Rule:
    """`pattern` and `followed_by` are patterns of ptb_patterns.py, with the names of `named_patterns`."""

    pattern: str
    spell: Callable[[str], str] = spelling.as_it_is
    followed_by: str = ""
    num_read_again: int = 0  # characters at the end of the token with which the next one begins


_SPACE_CODES = r" \t\u00a0\u2000-\u200a\u3000"
_URL_END = r'[^ \t\n\f\r"<>|.!?(){},\-]'

DEFINITIONS = {
    "SPACE": f"[{_SPACE_CODES}]",
    "BLANK": rf"([{_SPACE_CODES}\r\n\f\u000b\u0085\u2028\u2029]|\r\n)",
    "STOP": r"[,;:\u3001]",
    "APOSTROPHE": r"(['\u0092\u2019]|&apos;)",
    # What may stand where an apostrophe should.
    "APOSTROPHE_LIKE": r"({APOSTROPHE}|[`\u0091\u2018\u201b])",
    "ALNUM": "({LETTER}|{DIGIT})",
    "IN_WORD": "({WORD_CHARACTER}|&[aeiouAEIOU](acute|grave|uml);)",
    # Words of which one ends in a period or a mark without a space: `end.Begin`.
    "WORD": "{IN_WORD}({IN_WORD}|{DIGIT})*([.!?]{IN_WORD}({IN_WORD}|{DIGIT})*)*",
    # 'll, 's; n't, and the words it may be joined to.
    "CLITIC": "{APOSTROPHE}([msdMSD]|re|ve|ll)",
    "NOT": "n{APOSTROPHE_LIKE}t",
    "NEGATED": r"[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*",
    # A tag of SGML, HTML or XML; a line ends inside none.
    "NAME": r"[A-Za-z][A-Za-z0-9_:.\-]*",
    "ATTRIBUTE": r"""{NAME}( *= *('[^'\n]*'|"[^"\n]*"))?""",
    "TAG": r"<([!?][A-Za-z\-][^>\r\n]*|{NAME}( +{ATTRIBUTE})* */?|/{NAME}) *>",
    **ABBREVIATIONS,
    "NUMBER": r"[\-+]?({DIGIT}+|{DIGIT}*([.:,\u00ad\u066b\u066c]{DIGIT}+)+)",
    "FRACTION": r"({DIGIT}{1,4}[\- \u00a0])?{DIGIT}{1,4}(\\?/|\u2044){DIGIT}{1,4}",
    "PHONE_START": r"(\([0-9]{2,3}\)[ \u00a0]?|(\+\+?)?([0-9]{2,4}[\- \u00a0])?[0-9]{2,4}[\- \u00a0])",
    "PHONE": r"{PHONE_START}[0-9]{3,4}[\- \u00a0]?[0-9]{3,5}",
    "DOTTED_PHONE": r"((\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
    "SITE": r"www\.([^ \t\n\f\r" + r'"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}',
    # The hyphen stands between two characters, as in the original, and so spans a range: no digit, no capital.
    "DOMAIN": r"([^ \t\n\f\r" + r""""`'<>|.!?(){},-_$]+\.)+(com|net|org|edu)""",
    "PATH": r"/[^ \t\n\f\r" + rf'"<>|()]+{_URL_END}',
    "MAIL_HOST": r'([^ \t\n\f\r"<>|(){}.\u00a0]+\.)*([^ \t\n\f\r"<>|(){}.\u00a0]+)',
    "EXTENSION": (
        "bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|mp3|pdf|php|pl|png|ppt|ps|"
        "py|sql|tar|txt|wav|x|xml|zip"
    ),
    # Words with hyphens. Of the two kinds, only the first may hold apostrophes, and only the second periods.
    "HYPHEN": r"[\-_\u058a\u2010\u2011]",
    "ELIDED": "([dDoOlL]{APOSTROPHE_LIKE}{ALNUM})?{ALNUM}+",
    "COMPOUND": "{ELIDED}({HYPHEN}{ELIDED})*",
    "DOTTED_COMPOUND": r"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(-([A-Za-z0-9\u00ad]+|({ACRONYM})\.))+",
    "CAPITALS": "[A-Z]+(([+&]|&amp;)[A-Z]+)+",
    "SLASH_PART": "[A-Za-z0-9]+(-[A-Za-z]+){0,2}",
    "EYE": r"[\-^x=~<>']",
    "FACE": r"[\^x=~<>']",
}

_DIVIDED = ("can not", "'t was", "gon na", "got ta", "lem me", "gim me", "wan na", "'t is")

RULES = (
    Rule(r"c\+\+|[cCfF]#"),
    *(Rule(first, followed_by=second) for first, second in map(str.split, _DIVIDED)),
    Rule("{TAG}", spelling.with_joined_spaces),
    Rule(r"&(MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015]", spelling.written_as("--")),
    Rule("&amp;", spelling.with_plain_ampersand),
    Rule("&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    # Words. `don't` is do and n't, `dog's` dog and 's.
    Rule("{WORD}", spelling.without_soft_hyphens, followed_by="{CLITIC}"),
    Rule("{NEGATED}", spelling.without_soft_hyphens, followed_by="{NOT}"),
    Rule("{WORD}", spelling.without_soft_hyphens),
    # Words with an apostrophe that are not divided: 'n', l', ol', 'em, O'Brien, '90s, 'till, aujourd'hui, c'mon.
    Rule("{APOSTROPHE}n{APOSTROPHE}?|([lLdDjJ]|Dunkin|somethin|ol){APOSTROPHE}"),
    Rule("{APOSTROPHE}(em|[2-9]0s|till?|cause)|o{APOSTROPHE_LIKE}o"),
    Rule("[A-HJ-XZn]{APOSTROPHE_LIKE}{LETTER}{2}{LETTER}*"),
    Rule("{LETTER}+[aeiouyAEIOUY]{APOSTROPHE_LIKE}[aeiouA-Z]{LETTER}*"),
    Rule(r"cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l"),
    Rule("y{APOSTROPHE}", followed_by="{LETTER}"),
    # Addresses; @names and #tags.
    Rule(rf'https?://[^ \t\n\f\r"<>|(){{}}]+{_URL_END}'),
    Rule("({SITE}|{DOMAIN})({PATH})?"),
    Rule(r'(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00a0{}]*@{MAIL_HOST}(&gt;|>)?'),
    Rule("@[a-zA-Z_][a-zA-Z_0-9]*|#{IN_WORD}+"),
    Rule("{CLITIC}|{NOT}", spelling.with_latex_quotes, followed_by="[^A-Za-z]"),
    # Numbers: dates, times and decimals, indices, 1 1/2, 1-2/3.
    Rule(r"{DIGIT}{1,2}[\-/]{DIGIT}{1,2}[\-/]{DIGIT}{2,4}"),
    Rule("{NUMBER}", spelling.without_soft_hyphens),
    Rule(r"[\u207a\u207b\u208a\u208b]?([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"),
    Rule("{FRACTION}", spelling.with_joined_spaces),
    Rule(r"[\u00bc-\u00be\u2153-\u215e]", spelling.as_fraction),
    Rule(
        r"-(R|L)(R|C|S)B-|C\.D\.s|pro-|anti-|S(&|&amp;)(P-500|Ls)|Cap{APOSTROPHE}n|c{APOSTROPHE}est",
        spelling.with_plain_ampersand,
    ),
    Rule(r"{SLASH_PART}(\\?/{SLASH_PART}){1,2}"),
    Rule(r"[A-Z]*\$|#"),
    Rule(
        r"[\u00a2-\u00a5\u0080\u20a0\u20a4\u20ac\u060b\u0e3f\uffe0\uffe1\uffe5\uffe6]",
        spelling.as_currency,
    ),
    # Periods that belong to a word (ptb_abbreviations.py).
    Rule("[A-Za-z]", followed_by=r"\.{BLANK}+{SENTENCE_START}{BLANK}"),
    Rule("{BEFORE_NUMBERS}", followed_by="{BLANK}?{DIGIT}"),
    Rule(r"(pt[eyEY]|co)\.", followed_by="{SPACE}(ltd|lim)"),
    Rule(r"{ABBREVIATION}\.", followed_by="[^][^]"),
    Rule(r"{ABBREVIATION}\.", num_read_again=1),
    Rule(r"{ABBREVIATED_TITLE}\."),
    Rule("{JOINED_ACRONYM}|{APOSTROPHE}[0-9][0-9]", followed_by="{BLANK}"),
    Rule(r"({IN_WORD}|{DIGIT})+(\.({IN_WORD}|{DIGIT})+)*\.({EXTENSION})", followed_by="{BLANK}|[.?!,]"),
    Rule(r"{WORD}\.", spelling.without_soft_hyphens, followed_by="{STOP}"),
    Rule("{PHONE}|{DOTTED_PHONE}", spelling.as_phone_number),
    # Marks.
    Rule('"|&quot;', spelling.with_latex_quotes),
    Rule("<|&lt;", spelling.written_as("<")),
    Rule(">|&gt;", spelling.written_as(">")),
    Rule(r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|[\]]", spelling.with_named_brackets, followed_by="[^A-Za-z0-9]"),
    # `~` stood unescaped in the original, where it means: all up to what follows.
    Rule(r"[\^x=~<>]\.\[^x=[^<\n]*<>\]", spelling.with_named_brackets),
    Rule(r"{EYE}_{EYE}|\({EYE}[_.]?{EYE}\)|\({FACE}-[\^x=~<>'`]\)", spelling.with_named_brackets),
    Rule(r"[()[\]{}]", spelling.as_bracket),
    Rule("-+", spelling.as_hyphens),
    Rule(r"\.{3,5}|[\u0085\u2026]|(\.[ \u00a0]){2,4}\.", spelling.written_as("...")),
    Rule(r"@+|#+|_+|\*+|(\\\*){1,3}|[?!]+|=|/|{STOP}"),
    Rule(r"[.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002]"),
    # Words with hyphens, digits, ampersands; in front of a comma with their period.
    Rule(r"({DOTTED_COMPOUND})\.", spelling.without_soft_hyphens, followed_by="{STOP}"),
    Rule("{DOTTED_COMPOUND}", spelling.without_soft_hyphens),
    Rule(r"({COMPOUND})\.", followed_by="{STOP}"),
    Rule("{COMPOUND}"),
    Rule(r"{CAPITALS}\.", spelling.with_plain_ampersand, followed_by="{STOP}"),
    Rule("{CAPITALS}", spelling.with_plain_ampersand),
    # Quotes, and what is left of 's and n't.
    Rule("'", followed_by=r"[A-Za-z][^ \t\n\r\u00a0]"),
    Rule("{CLITIC}|{NOT}", spelling.with_latex_quotes),
    Rule(
        r"{APOSTROPHE}|''|[`\u2018-\u201f\u0091-\u0094\u2039\u203a\u00ab\u00bb]{1,2}",
        spelling.with_latex_quotes,
    ),
    Rule("<<|>>"),
    Rule("{SYMBOL}"),
    Rule("{SPACE}+|&nbsp;", spelling.written_as("")),
)


def named_patterns(definitions: Mapping[str, str] = MappingProxyType(DEFINITIONS)) -> dict[str, Node]:
    """The trees of the names that patterns use; a definition uses those before it."""
    names: dict[str, Node] = {"LETTER": LETTER, "WORD_CHARACTER": WORD_CHARACTER, "DIGIT": DIGIT, "SYMBOL": SYMBOL}
    for name, pattern in definitions.items():
        names[name] = parse_pattern(pattern, names)
    return names
