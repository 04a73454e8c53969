r"""The rules of the PTB tokenizer, in order: what becomes a token, and how it is written.

At each position of a text the rule with the longest match wins; in a tie it is the first rule. The text after the
token that a rule requires (`followed_by`) counts for the length, but is read again for the next token. If no rule
matches, the character is dropped: white space, control characters, and characters that Unicode had not assigned
(characters.py).

Source: the tables of the lexer in Stanford CoreNLP 3.4.1 (`edu.stanford.nlp.process.PTBLexer`, options as in
spelling.py). tests/evaluation/metrics/ptb/test_ptb_tables.py walks through them and through these rules in step.
We omit rules of the original that make no difference once pycocoevalcap has removed the punctuation: they distinguish
opening from closing quotes, and decide whether the period of an abbreviation also ends the sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import spelling
from .characters import DIGIT, LETTER, SYMBOL, WORD_CHARACTER
from .patterns import Node, parse_pattern


@dataclass(frozen=True)
class Rule:
    """A rule. `pattern` and `followed_by` are patterns of patterns.py and may use the names of `named_patterns`."""

    name: str
    pattern: str
    spell: Callable[[str], str] = spelling.as_it_is
    followed_by: str = ""
    num_read_again: int = 0  # the number of characters that end this token and also begin the next one


_SPACE_CODES = r" \t\u00a0\u2000-\u200a\u3000"
_URL_END = r'[^ \t\n\f\r"<>|.!?(){},\-]'

# Abbreviations, whose period belongs to the word. The words come from the Wall Street Journal of 1987 and from later
# requests of the tokenizer's users. Outside brackets a pattern ignores case, so `MR.` and `mr.` both match.
# For common words (`ill`, `miss`, `wash`) a bracket around the first letter limits the rule to the capital.
_MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
_DAYS = "Mon|Tues?|Wed|Thu|Thurs|Fri"
_STATES = (
    "Ala|Ariz|[A]z|[A]rk|Calif|Colo|Conn|Ct|Dak|[D]el|Fla|Ga|[I]ll|Ind|Kans?|Ky|[L]a|[M]ass|Md|Mich|Minn|[M]iss|Mo|"
    "Mont|Neb|Nev|Okla|[O]re|[P]a|Penn|Tenn|[T]ex|Va|Vt|[W]ash|Wisc?|Wyo"
)
_FIRMS = "Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys|Bros"
_OTHERS = r"tel|est|ext|sq|Jr|Sr|(Ed|Ph)\.D|Blvd|Bldg|Rd|Esq|etc|al|seq"
_TITLES = (
    "Mr|Mrs|Ms|[M]iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Capt|Ste?|Ave|"
    "Pres|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc"
)
_BEFORE_NAMES = r"vs|Alex|Wm|Jos|Cie|cf|a\.k\.a|TREAS|Ph|Invt|Elec|Natl|M[ft]g|Dept"
_SENTENCE_STARTS = (
    "[A]bout|[A]ccording|[A]dditionally|[A]fter|[A]n?|[A]s|[A]t|[B]ut|[E]arlier|[H]e|[H]ere?|[H]owever|[I]f|[I]n|[I]t|"
    r"[L]ast|[M]any|[M]ore|[M]r\.|[M]s\.|[N]ow|[O]nce|[O]ne|[O]ther|[O]ur|[S]he|[S]ince|[S]o|[S]ome|[S]uch|[T]hat|"
    "[T]heir|[T]hen?|[T]here|[T]hese|[T]hey|[T]his|[W]e|[W]hen|[W]hile|[W]hat|[Y]et|[Y]ou"
)
_ABBREVIATIONS = {
    # Countries joined by a hyphen, the only acronyms that the rule for words does not cover.
    "JOINED_ACRONYM": r"(Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(U\.K|U\.S\.S\.R)",
    # `a.m`, `U.S`, without the last period.
    "ACRONYM": r"[A-Za-z](\.[A-Za-z])+|{JOINED_ACRONYM}",
    # Abbreviations that are usually followed by a lower-case word.
    "ABBREVIATION": f"({_MONTHS}|{_DAYS}|{_STATES}|{_FIRMS}|{_OTHERS})",
    # Abbreviations that are usually followed by a name, and single letters.
    "ABBREVIATED_TITLE": f"({_TITLES}|{_BEFORE_NAMES}|[A-Za-z]|{{ACRONYM}})",
    # Abbreviations only before a number.
    "BEFORE_NUMBERS": r"(ca|figs?|prop|nos?|art|bldg|pp|op)\.",
    # Words that begin a sentence even after a single letter and a period.
    "SENTENCE_START": f"({_SENTENCE_STARTS}|{{TAG}})",
}

DEFINITIONS = {
    "SPACE": f"[{_SPACE_CODES}]",
    "BLANK": rf"([{_SPACE_CODES}\r\n\f\u000b\u0085\u2028\u2029]|\r\n)",
    "STOP": r"[,;:\u3001]",
    "APOSTROPHE": r"(['\u0092\u2019]|&apos;)",
    # Characters that people use as an apostrophe.
    "APOSTROPHE_LIKE": r"({APOSTROPHE}|[`\u0091\u2018\u201b])",
    "ALNUM": "({LETTER}|{DIGIT})",
    "IN_WORD": "({WORD_CHARACTER}|&[aeiouAEIOU](acute|grave|uml);)",
    # Also words joined by a period or mark without a space: `end.Begin`.
    "WORD": "{IN_WORD}({IN_WORD}|{DIGIT})*([.!?]{IN_WORD}({IN_WORD}|{DIGIT})*)*",
    # 'll, 's; n't, and the words it may be joined to.
    "CLITIC": "{APOSTROPHE}([msdMSD]|re|ve|ll)",
    "NOT": "n{APOSTROPHE_LIKE}t",
    "NEGATED": r"[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*",
    # A tag of SGML, HTML or XML, on one line.
    "NAME": r"[A-Za-z][A-Za-z0-9_:.\-]*",
    "ATTRIBUTE": r"""{NAME}( *= *('[^'\n]*'|"[^"\n]*"))?""",
    "TAG": r"<([!?][A-Za-z\-][^>\r\n]*|{NAME}( +{ATTRIBUTE})* */?|/{NAME}) *>",
    **_ABBREVIATIONS,
    "NUMBER": r"[\-+]?({DIGIT}+|{DIGIT}*([.:,\u00ad\u066b\u066c]{DIGIT}+)+)",
    "FRACTION": r"({DIGIT}{1,4}[\- \u00a0])?{DIGIT}{1,4}(\\?/|\u2044){DIGIT}{1,4}",
    "PHONE_START": r"(\([0-9]{2,3}\)[ \u00a0]?|(\+\+?)?([0-9]{2,4}[\- \u00a0])?[0-9]{2,4}[\- \u00a0])",
    "PHONE": r"{PHONE_START}[0-9]{3,4}[\- \u00a0]?[0-9]{3,5}",
    "DOTTED_PHONE": r"((\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
    "SITE": r'www\.([^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}',
    # As in the original, the hyphen is between two characters and forms a range, which excludes digits and capitals.
    "DOMAIN": r'([^ \t\n\f\r"`\u0027<>|.!?(){},-_$]+\.)+(com|net|org|edu)',
    "PATH": rf'/[^ \t\n\f\r"<>|()]+{_URL_END}',
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
    "TREEBANK": r"-(R|L)(R|C|S)B-|C\.D\.s|pro-|anti-|S(&|&amp;)(P-500|Ls)|Cap{APOSTROPHE}n|c{APOSTROPHE}est",
    "CURRENCY": r"[\u00a2-\u00a5\u0080\u20a0\u20a4\u20ac\u060b\u0e3f\uffe0\uffe1\uffe5\uffe6]",
    "SMILEY": r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|[\]]",
    "EYE": r"[\-^x=~<>']",
    "FACE": r"[\^x=~<>']",
    # The last one: `~` stood unescaped in the original, where it means all up to what follows.
    "ASIAN_SMILEY": r"{EYE}_{EYE}|\({EYE}[_.]?{EYE}\)|\({FACE}-[\^x=~<>'`]\)|[\^x=~<>]\.\[^x=[^<\n]*<>\]",
    "QUOTES": r"{APOSTROPHE}|''|[`\u2018-\u201f\u0091-\u0094\u2039\u203a\u00ab\u00bb]{1,2}",
}

_DIVIDED = ("can not", "'t was", "gon na", "got ta", "lem me", "gim me", "wan na", "'t is")

RULES = (
    Rule("programming language", r"c\+\+|[cCfF]#"),
    *(Rule(f"{first}{second}", first, followed_by=second) for first, second in map(str.split, _DIVIDED)),
    Rule("tag", "{TAG}", spelling.with_joined_spaces),
    Rule("dash", r"&(MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015]", spelling.written_as("--")),
    Rule("ampersand as an entity", "&amp;", spelling.with_plain_ampersand),
    Rule("other entity", "&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    # Words. `dog's` is dog and 's, `don't` do and n't; other words with an apostrophe are one token.
    Rule("word before 's", "{WORD}", spelling.without_soft_hyphens, followed_by="{CLITIC}"),
    Rule("word before n't", "{NEGATED}", spelling.without_soft_hyphens, followed_by="{NOT}"),
    Rule("word", "{WORD}", spelling.without_soft_hyphens),
    Rule("'n', l', ol'", "{APOSTROPHE}n{APOSTROPHE}?|([lLdDjJ]|Dunkin|somethin|ol){APOSTROPHE}"),
    Rule("'em, '90s, 'till", "{APOSTROPHE}(em|[2-9]0s|till?|cause)|o{APOSTROPHE_LIKE}o"),
    Rule("O'Brien", "[A-HJ-XZn]{APOSTROPHE_LIKE}{LETTER}{2}{LETTER}*"),
    Rule("qu'il", "{LETTER}+[aeiouyAEIOUY]{APOSTROPHE_LIKE}[aeiouA-Z]{LETTER}*"),
    Rule("c'mon", r"cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l"),
    Rule("y' of y'all", "y{APOSTROPHE}", followed_by="{LETTER}"),
    Rule("address", rf'https?://[^ \t\n\f\r"<>|(){{}}]+{_URL_END}'),
    Rule("likely address", "({SITE}|{DOMAIN})({PATH})?"),
    Rule("e-mail", r'(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00a0{}]*@{MAIL_HOST}(&gt;|>)?'),
    Rule("@name, #tag", "@[a-zA-Z_][a-zA-Z_0-9]*|#{IN_WORD}+"),
    Rule("'s, n't", "{CLITIC}|{NOT}", spelling.with_latex_quotes, followed_by="[^A-Za-z]"),
    # Numbers.
    Rule("date", r"{DIGIT}{1,2}[\-/]{DIGIT}{1,2}[\-/]{DIGIT}{2,4}"),
    Rule("number, time", "{NUMBER}", spelling.without_soft_hyphens),
    Rule("index", r"[\u207a\u207b\u208a\u208b]?([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"),
    Rule("fraction", "{FRACTION}", spelling.with_joined_spaces),
    Rule("fraction of one character", r"[\u00bc-\u00be\u2153-\u215e]", spelling.as_fraction),
    Rule("treebank's own", "{TREEBANK}", spelling.with_plain_ampersand),
    Rule("words with a slash", r"{SLASH_PART}(\\?/{SLASH_PART}){1,2}"),
    Rule("dollar", r"[A-Z]*\$|#"),
    Rule("other currency", "{CURRENCY}", spelling.as_currency),
    # Periods that belong to a word (`_ABBREVIATIONS`).
    Rule("letter that ends a sentence", "[A-Za-z]", followed_by=r"\.{BLANK}+{SENTENCE_START}{BLANK}"),
    Rule("no. 5", "{BEFORE_NUMBERS}", followed_by="{BLANK}?{DIGIT}"),
    Rule("co. ltd.", r"(pt[eyEY]|co)\.", followed_by="{SPACE}(ltd|lim)"),
    Rule("abbreviation", r"{ABBREVIATION}\.", followed_by="[^][^]"),
    Rule("abbreviation at the end of all", r"{ABBREVIATION}\.", num_read_again=1),
    Rule("abbreviated title", r"{ABBREVIATED_TITLE}\."),
    Rule("'90, EU-U.S", "{JOINED_ACRONYM}|{APOSTROPHE}[0-9][0-9]", followed_by="{BLANK}"),
    Rule(
        "file",
        r"({IN_WORD}|{DIGIT})+(\.({IN_WORD}|{DIGIT})+)*\.({EXTENSION})",
        followed_by="{BLANK}|[.?!,]",
    ),
    Rule("word. before a comma", r"{WORD}\.", spelling.without_soft_hyphens, followed_by="{STOP}"),
    Rule("telephone", "{PHONE}|{DOTTED_PHONE}", spelling.as_phone_number),
    # Marks.
    Rule("double quote", '"|&quot;', spelling.with_latex_quotes),
    Rule("less than", "<|&lt;", spelling.written_as("<")),
    Rule("greater than", ">|&gt;", spelling.written_as(">")),
    Rule("smiley", "{SMILEY}", spelling.with_named_brackets, followed_by="[^A-Za-z0-9]"),
    Rule("Asian smiley", "{ASIAN_SMILEY}", spelling.with_named_brackets),
    Rule("bracket", r"[()[\]{}]", spelling.as_bracket),
    Rule("hyphens", "-+", spelling.as_hyphens),
    Rule("ellipsis", r"\.{3,5}|[\u0085\u2026]|(\.[ \u00a0]){2,4}\.", spelling.written_as("...")),
    Rule("run of marks", r"@+|#+|_+|\*+|(\\\*){1,3}|[?!]+|=|/|{STOP}"),
    Rule("full stop", r"[.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002]"),
    # Words with hyphens, digits, ampersands; with their period if a comma follows.
    Rule("dotted compound.", r"({DOTTED_COMPOUND})\.", spelling.without_soft_hyphens, followed_by="{STOP}"),
    Rule("dotted compound", "{DOTTED_COMPOUND}", spelling.without_soft_hyphens),
    Rule("compound.", r"({COMPOUND})\.", followed_by="{STOP}"),
    Rule("compound", "{COMPOUND}"),
    Rule("AT&T.", r"{CAPITALS}\.", spelling.with_plain_ampersand, followed_by="{STOP}"),
    Rule("AT&T", "{CAPITALS}", spelling.with_plain_ampersand),
    # Quotes, and everything that no rule above matches.
    Rule("quote before a word", "'", followed_by=r"[A-Za-z][^ \t\n\r\u00a0]"),
    Rule("'s, n't at the end of all", "{CLITIC}|{NOT}", spelling.with_latex_quotes),
    Rule("quotes", "{QUOTES}", spelling.with_latex_quotes),
    Rule("duck feet", "<<|>>"),
    Rule("symbol", "{SYMBOL}"),
    Rule("space", "{SPACE}+|&nbsp;", spelling.written_as("")),
)


def named_patterns(definitions: Mapping[str, str] = MappingProxyType(DEFINITIONS)) -> dict[str, Node]:
    """The trees of the names that patterns use. A definition may use the names before it."""
    names: dict[str, Node] = {"LETTER": LETTER, "WORD_CHARACTER": WORD_CHARACTER, "DIGIT": DIGIT, "SYMBOL": SYMBOL}
    for name, pattern in definitions.items():
        names[name] = parse_pattern(pattern, names)
    return names
