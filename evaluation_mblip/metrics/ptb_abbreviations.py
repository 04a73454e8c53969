r"""Abbreviations: where a period belongs to the word before it. Names for the patterns of ptb_rules.py.

The words are those of the Wall Street Journal of 1987 and of what users of the tokenizer asked for later. The grammar
does not mind the case of letters outside brackets, so `MR.` and `mr.` are abbreviations too; where a common word would
be taken for one (`ill`, `miss`, `wash`), a bracket around its first letter keeps the rule to the capital.
"""

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

ABBREVIATIONS = {
    # Countries joined by a hyphen, the one kind of acronym that is not a word by the rule for words.
    "JOINED_ACRONYM": r"(Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(U\.K|U\.S\.S\.R)",
    # `a.m`, `U.S`, without the last period.
    "ACRONYM": r"[A-Za-z](\.[A-Za-z])+|{JOINED_ACRONYM}",
    # Those that a lower-case word usually follows.
    "ABBREVIATION": f"({_MONTHS}|{_DAYS}|{_STATES}|{_FIRMS}|{_OTHERS})",
    # Those that a name usually follows, and single letters.
    "ABBREVIATED_TITLE": f"({_TITLES}|{_BEFORE_NAMES}|[A-Za-z]|{{ACRONYM}})",
    # Abbreviations only in front of a number.
    "BEFORE_NUMBERS": r"(ca|figs?|prop|nos?|art|bldg|pp|op)\.",
    # Words that begin a sentence even behind a single letter and a period.
    "SENTENCE_START": f"({_SENTENCE_STARTS}|{{TAG}})",
}
