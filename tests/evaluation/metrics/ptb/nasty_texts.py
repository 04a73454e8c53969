"""Random texts for the PTB tokenizer, out of what tokenizers stumble over."""

import random
import re

# Where Java ends a line, so that every later text gets the tokens of another one (ptb/tokenizer.py): spaces here.
OTHER_LINE_ENDS = dict.fromkeys(map(ord, "\r\v\f\u2028\u2029"), " ")

_PIECES = """
a b I A The the About He You x Ab ZZZ dog dogs. end.Begin wow!ok what?no U.S. u.s e.g. i.e. a.m. St. vs. Mr. Mrs Dr.
Inc. Corp. Co. co. ltd Ltd. Pty pte. lim etc. Jan. Sept. no. No. fig. p. pp. Ph.D. Ed.D Sr. a.k.a. ill. Ill.
Canada-U.S. non-U.S. don't can't cannot gonna gotta wanna gimme lemme 'tis 'twas n't 's 're 'll 'd ’s n’t don’t it’s
o'clock O'Brien y'all l' 'n' 'em '90s '90 ol' c'mon e'er aujourd'hui rock'n'roll Dunkin' Cap'n ... .. .... .....
...... . . . , ; : ! ? !! ?! - -- --- ---- ----- – — _ __ / \\ * ** & &amp; &AMP; &quot; &apos; &lt; &gt; &nbsp;
&eacute; &mdash; &#123; ( ) [ ] { } < > << >> <b> </b> < b > <a href="x"> <br/> <!-- <?xml ' " ` `` '' “ ” ‘ ’ „ ‚ «
» ‹ › # ## #tag #Tag1 @ @name @@ $ US$ £ € ¢ ¥ ₹ % ‰ 1 2 12 123 1234 12345 1,000 1.5 .5 -5 +5 1/2 3/4 1-2/3 ½ ¼ ⅓ ⅝
10:30 12/05/2011 5-6-12 2011-05-12T10:00 555-1234 (555) 212.555.1234 C++ c# F# AT&T R&D S&P-500 S&Ls x@y.com
http://x.com/a,b. https://a.b www.foo.com foo.com bar.org/x?y=1 photo.jpg a.txt :) :-) ;P =D :( ^_^ (^_^) >_< -_- é ñ
ü ß İ ı ſ K Σ ΑΣ ΟΔΟΣ ой привет कुत्ता หมา 人 、 。 ・ 「 （ ） ， ！ Ａ １ ア が 고양이 \u200c \u200d \u200b \u00ad
\u00a0 \u3000 \u2009 \ufeff \u0301 \0 \x7f \x85 \x91 \x92 \x93 \x94 \x96 😀 👩\u200d👧 🇩🇪 𠮷 ① ™ © ® ° ² ³ ¹⁰ ₂ × ÷ ± ≤
→ ♥ ★ § ¶ • … ‥ ٠ ١٢ ٫ ٬ ، ؟ ؛ ۔ । ॥ ১২ mid-1990s well-known -LRB- pro- anti- x.y.z 5'10" 6ft 2x4 24/7 and/or
km/h A/C w/o 3,4-5 a-b.c, a-b., 1., dog., AT&T., OK! ~ ^ | + = == \\/ \\*\\*
"""
PIECES = [piece for piece in re.split("[ \n]+", _PIECES) if piece]
# Characters of which one kind of token is made, for texts that come close to being one.
ALPHABETS = (
    "0123456789 --().+/\u00a0\\",
    "..  \u00a0a1A,",
    "''nNsStTdlrevmaA.  ’`‘",
    "UuSs..  -KkcoltdAa\tTheHe\u2009",
    "@@..a1{}<>/:",
    "^x=~<>_-'().:;)Dpo*[",
    "wW.comCOMnetorg/?&\u3000<-_$,1A",
    "aA1\u00ad-.,;&+AT  ",
    "S&P-500Ls&amp;pro-anti LRB-cest'Cap'n",
    "(\"' “”‘’„«»‹›`",
    "\u0661\u0662\u066b\u066c12.,:-+ /",
)
CHARACTERS = [*map(chr, range(32, 0x600)), *map(chr, range(0x600, 0xD800, 7)), *map(chr, range(0xE000, 0x10000, 7))]


def nasty_text(rng: random.Random) -> str:
    """A few odd pieces, often without a space between them."""
    pieces = []
    for _ in range(rng.randint(1, 9)):
        kind = rng.random()
        piece = rng.choice(PIECES) if kind < 0.9 else rng.choice(CHARACTERS) * rng.randint(1, 3)
        pieces += [piece, " " if rng.random() < 0.45 else ""]
    return "".join(pieces).translate(OTHER_LINE_ENDS)


def scrambled_text(rng: random.Random) -> str:
    """Characters of one alphabet in any order."""
    return "".join(rng.choices(rng.choice(ALPHABETS), k=rng.randint(1, 14)))
