"""The captions and questions of the drawn world: literal sentences of every language, and what holds for all of them.

The sentences below were read one by one. Between them they have every shape, colour and count as subject and as
reference, every relation, and every gender or noun class of each language with each count.
"""

import itertools
import random
import unicodedata

import pytest

from mblip.data.languages import get_language
from scenes.languages import SCENE_LANGUAGES, QuestionAnswer, caption, questions
from scenes.world import (
    COLOURS,
    COUNTS,
    SHAPES,
    SIZES,
    Group,
    Scene,
    sample_held_out_scene,
    sample_training_scene,
)

SCENES = [
    "1 small red circle",
    "2 large black star",
    "3 small white heart",
    "1 small green star above 1 large yellow circle",
    "2 small orange arrow above 2 large yellow star",
    "3 large purple circle above 3 small blue heart",
    "1 large white heart left_of 1 small black star",
    "2 large red ring left_of 2 small purple triangle",
    "3 large orange cross left_of 3 large black ring",
    "1 small yellow triangle left_of 1 large green arrow",
    "2 small blue square above 1 small white heart",
    "3 small green arrow left_of 2 large orange cross",
    "3 small red star inside 1 large blue square",
    "2 small black circle inside 1 large white star",
    "1 small white cross inside 1 large purple ring",
    "1 large black arrow left_of 3 small red circle",
]
CAPTIONS = {  # of SCENES, in their order
    "en": [
        "a small red circle",
        "two large black stars",
        "three small white hearts",
        "a small green star above a large yellow circle",
        "two small orange arrows above two large yellow stars",
        "three large purple circles above three small blue hearts",
        "a large white heart to the left of a small black star",
        "two large red rings to the left of two small purple triangles",
        "three large orange crosses to the left of three large black rings",
        "a small yellow triangle to the left of a large green arrow",
        "two small blue squares above a small white heart",
        "three small green arrows to the left of two large orange crosses",
        "three small red stars inside a large blue square",
        "two small black circles inside a large white star",
        "a small white cross inside a large purple ring",
        "a large black arrow to the left of three small red circles",
    ],
    "de": [
        "ein kleiner roter Kreis",
        "zwei große schwarze Sterne",
        "drei kleine weiße Herzen",
        "ein kleiner grüner Stern über einem großen gelben Kreis",
        "zwei kleine orangefarbene Pfeile über zwei großen gelben Sternen",
        "drei große lila Kreise über drei kleinen blauen Herzen",
        "ein großes weißes Herz links von einem kleinen schwarzen Stern",
        "zwei große rote Ringe links von zwei kleinen lila Dreiecken",
        "drei große orangefarbene Kreuze links von drei großen schwarzen Ringen",
        "ein kleines gelbes Dreieck links von einem großen grünen Pfeil",
        "zwei kleine blaue Quadrate über einem kleinen weißen Herzen",
        "drei kleine grüne Pfeile links von zwei großen orangefarbenen Kreuzen",
        "drei kleine rote Sterne in einem großen blauen Quadrat",
        "zwei kleine schwarze Kreise in einem großen weißen Stern",
        "ein kleines weißes Kreuz in einem großen lila Ring",
        "ein großer schwarzer Pfeil links von drei kleinen roten Kreisen",
    ],
    "fr": [
        "un petit cercle rouge",
        "deux grandes étoiles noires",
        "trois petits cœurs blancs",
        "une petite étoile verte au-dessus d'un grand cercle jaune",
        "deux petites flèches orange au-dessus de deux grandes étoiles jaunes",
        "trois grands cercles violets au-dessus de trois petits cœurs bleus",
        "un grand cœur blanc à gauche d'une petite étoile noire",
        "deux grands anneaux rouges à gauche de deux petits triangles violets",
        "trois grandes croix orange à gauche de trois grands anneaux noirs",
        "un petit triangle jaune à gauche d'une grande flèche verte",
        "deux petits carrés bleus au-dessus d'un petit cœur blanc",
        "trois petites flèches vertes à gauche de deux grandes croix orange",
        "trois petites étoiles rouges dans un grand carré bleu",
        "deux petits cercles noirs dans une grande étoile blanche",
        "une petite croix blanche dans un grand anneau violet",
        "une grande flèche noire à gauche de trois petits cercles rouges",
    ],
    "ru": [
        "маленький красный круг",
        "две большие чёрные звезды",
        "три маленьких белых сердца",
        "маленькая зелёная звезда над большим жёлтым кругом",
        "две маленькие оранжевые стрелки над двумя большими жёлтыми звёздами",
        "три больших фиолетовых круга над тремя маленькими синими сердцами",
        "большое белое сердце слева от маленькой чёрной звезды",
        "два больших красных кольца слева от двух маленьких фиолетовых треугольников",
        "три больших оранжевых креста слева от трёх больших чёрных колец",
        "маленький жёлтый треугольник слева от большой зелёной стрелки",
        "два маленьких синих квадрата над маленьким белым сердцем",
        "три маленькие зелёные стрелки слева от двух больших оранжевых крестов",
        "три маленькие красные звезды внутри большого синего квадрата",
        "два маленьких чёрных круга внутри большой белой звезды",
        "маленький белый крест внутри большого фиолетового кольца",
        "большая чёрная стрелка слева от трёх маленьких красных кругов",
    ],
    "ar": [
        "دائرة حمراء صغيرة",
        "نجمتان سوداوان كبيرتان",
        "ثلاثة قلوب بيضاء صغيرة",
        "نجمة خضراء صغيرة فوق دائرة صفراء كبيرة",
        "سهمان برتقاليان صغيران فوق نجمتين صفراوين كبيرتين",
        "ثلاث دوائر بنفسجية كبيرة فوق ثلاثة قلوب زرقاء صغيرة",
        "قلب أبيض كبير على يسار نجمة سوداء صغيرة",
        "حلقتان حمراوان كبيرتان على يسار مثلثين بنفسجيين صغيرين",
        "ثلاثة صلبان برتقالية كبيرة على يسار ثلاث حلقات سوداء كبيرة",
        "مثلث أصفر صغير على يسار سهم أخضر كبير",
        "مربعان أزرقان صغيران فوق قلب أبيض صغير",
        "ثلاثة أسهم خضراء صغيرة على يسار صليبين برتقاليين كبيرين",
        "ثلاث نجوم حمراء صغيرة داخل مربع أزرق كبير",
        "دائرتان سوداوان صغيرتان داخل نجمة بيضاء كبيرة",
        "صليب أبيض صغير داخل حلقة بنفسجية كبيرة",
        "سهم أسود كبير على يسار ثلاث دوائر حمراء صغيرة",
    ],
    "hi": [
        "एक छोटा लाल वृत्त",
        "दो बड़े काले तारे",
        "तीन छोटे सफ़ेद दिल",
        "एक बड़े पीले वृत्त के ऊपर एक छोटा हरा तारा",
        "दो बड़े पीले तारों के ऊपर दो छोटे नारंगी तीर",
        "तीन छोटे नीले दिलों के ऊपर तीन बड़े बैंगनी वृत्त",
        "एक छोटे काले तारे के बाईं ओर एक बड़ा सफ़ेद दिल",
        "दो छोटे बैंगनी त्रिभुजों के बाईं ओर दो बड़े लाल छल्ले",
        "तीन बड़े काले छल्लों के बाईं ओर तीन बड़े नारंगी क्रॉस",
        "एक बड़े हरे तीर के बाईं ओर एक छोटा पीला त्रिभुज",
        "एक छोटे सफ़ेद दिल के ऊपर दो छोटे नीले वर्ग",
        "दो बड़े नारंगी क्रॉसों के बाईं ओर तीन छोटे हरे तीर",
        "एक बड़े नीले वर्ग के अंदर तीन छोटे लाल तारे",
        "एक बड़े सफ़ेद तारे के अंदर दो छोटे काले वृत्त",
        "एक बड़े बैंगनी छल्ले के अंदर एक छोटा सफ़ेद क्रॉस",
        "तीन छोटे लाल वृत्तों के बाईं ओर एक बड़ा काला तीर",
    ],
    "bn": [
        "একটি ছোট লাল বৃত্ত",
        "দুটি বড় কালো তারা",
        "তিনটি ছোট সাদা হৃদয়",
        "একটি বড় হলুদ বৃত্তের উপরে একটি ছোট সবুজ তারা",
        "দুটি বড় হলুদ তারার উপরে দুটি ছোট কমলা তীর",
        "তিনটি ছোট নীল হৃদয়ের উপরে তিনটি বড় বেগুনি বৃত্ত",
        "একটি ছোট কালো তারার বাম দিকে একটি বড় সাদা হৃদয়",
        "দুটি ছোট বেগুনি ত্রিভুজের বাম দিকে দুটি বড় লাল বলয়",
        "তিনটি বড় কালো বলয়ের বাম দিকে তিনটি বড় কমলা ক্রস",
        "একটি বড় সবুজ তীরের বাম দিকে একটি ছোট হলুদ ত্রিভুজ",
        "একটি ছোট সাদা হৃদয়ের উপরে দুটি ছোট নীল বর্গক্ষেত্র",
        "দুটি বড় কমলা ক্রসের বাম দিকে তিনটি ছোট সবুজ তীর",
        "একটি বড় নীল বর্গক্ষেত্রের ভিতরে তিনটি ছোট লাল তারা",
        "একটি বড় সাদা তারার ভিতরে দুটি ছোট কালো বৃত্ত",
        "একটি বড় বেগুনি বলয়ের ভিতরে একটি ছোট সাদা ক্রস",
        "তিনটি ছোট লাল বৃত্তের বাম দিকে একটি বড় কালো তীর",
    ],
    "zh": [
        "一个红色的小圆形",
        "两颗黑色的大星星",
        "三颗白色的小爱心",
        "一个黄色的大圆形上方有一颗绿色的小星星",
        "两颗黄色的大星星上方有两个橙色的小箭头",
        "三颗蓝色的小爱心上方有三个紫色的大圆形",
        "一颗黑色的小星星左边有一颗白色的大爱心",
        "两个紫色的小三角形左边有两个红色的大圆环",
        "三个黑色的大圆环左边有三个橙色的大十字",
        "一个绿色的大箭头左边有一个黄色的小三角形",
        "一颗白色的小爱心上方有两个蓝色的小正方形",
        "两个橙色的大十字左边有三个绿色的小箭头",
        "一个蓝色的大正方形里面有三颗红色的小星星",
        "一颗白色的大星星里面有两个黑色的小圆形",
        "一个紫色的大圆环里面有一个白色的小十字",
        "三个红色的小圆形左边有一个黑色的大箭头",
    ],
    "ko": [
        "작은 빨간 원 한 개",
        "큰 검은 별 두 개",
        "작은 하얀 하트 세 개",
        "큰 노란 원 한 개 위에 있는 작은 초록색 별 한 개",
        "큰 노란 별 두 개 위에 있는 작은 주황색 화살표 두 개",
        "작은 파란 하트 세 개 위에 있는 큰 보라색 원 세 개",
        "작은 검은 별 한 개의 왼쪽에 있는 큰 하얀 하트 한 개",
        "작은 보라색 삼각형 두 개의 왼쪽에 있는 큰 빨간 고리 두 개",
        "큰 검은 고리 세 개의 왼쪽에 있는 큰 주황색 십자가 세 개",
        "큰 초록색 화살표 한 개의 왼쪽에 있는 작은 노란 삼각형 한 개",
        "작은 하얀 하트 한 개 위에 있는 작은 파란 정사각형 두 개",
        "큰 주황색 십자가 두 개의 왼쪽에 있는 작은 초록색 화살표 세 개",
        "큰 파란 정사각형 한 개 안에 있는 작은 빨간 별 세 개",
        "큰 하얀 별 한 개 안에 있는 작은 검은 원 두 개",
        "큰 보라색 고리 한 개 안에 있는 작은 하얀 십자가 한 개",
        "작은 빨간 원 세 개의 왼쪽에 있는 큰 검은 화살표 한 개",
    ],
    "tr": [
        "küçük kırmızı bir daire",
        "iki büyük siyah yıldız",
        "üç küçük beyaz kalp",
        "büyük sarı bir dairenin üstünde küçük yeşil bir yıldız",
        "iki büyük sarı yıldızın üstünde iki küçük turuncu ok",
        "üç küçük mavi kalbin üstünde üç büyük mor daire",
        "küçük siyah bir yıldızın solunda büyük beyaz bir kalp",
        "iki küçük mor üçgenin solunda iki büyük kırmızı halka",
        "üç büyük siyah halkanın solunda üç büyük turuncu haç",
        "büyük yeşil bir okun solunda küçük sarı bir üçgen",
        "küçük beyaz bir kalbin üstünde iki küçük mavi kare",
        "iki büyük turuncu haçın solunda üç küçük yeşil ok",
        "büyük mavi bir karenin içinde üç küçük kırmızı yıldız",
        "büyük beyaz bir yıldızın içinde iki küçük siyah daire",
        "büyük mor bir halkanın içinde küçük beyaz bir haç",
        "üç küçük kırmızı dairenin solunda büyük siyah bir ok",
    ],
    "sw": [
        "mduara mmoja mdogo mwekundu",
        "nyota mbili kubwa nyeusi",
        "mioyo mitatu midogo myeupe",
        "nyota moja ndogo ya kijani juu ya mduara mmoja mkubwa wa manjano",
        "mishale miwili midogo ya rangi ya machungwa juu ya nyota mbili kubwa za manjano",
        "miduara mitatu mikubwa ya rangi ya zambarau juu ya mioyo mitatu midogo ya buluu",
        "moyo mmoja mkubwa mweupe upande wa kushoto wa nyota moja ndogo nyeusi",
        "pete mbili kubwa nyekundu upande wa kushoto wa pembetatu mbili ndogo za rangi ya zambarau",
        "misalaba mitatu mikubwa ya rangi ya machungwa upande wa kushoto wa pete tatu kubwa nyeusi",
        "pembetatu moja ndogo ya manjano upande wa kushoto wa mshale mmoja mkubwa wa kijani",
        "miraba miwili midogo ya buluu juu ya moyo mmoja mdogo mweupe",
        "mishale mitatu midogo ya kijani upande wa kushoto wa misalaba miwili mikubwa ya rangi ya machungwa",
        "nyota tatu ndogo nyekundu ndani ya mraba mmoja mkubwa wa buluu",
        "miduara miwili midogo myeusi ndani ya nyota moja kubwa nyeupe",
        "msalaba mmoja mdogo mweupe ndani ya pete moja kubwa ya rangi ya zambarau",
        "mshale mmoja mkubwa mweusi upande wa kushoto wa miduara mitatu midogo myekundu",
    ],
    "ht": [
        "yon ti sèk wouj",
        "de gwo zetwal nwa",
        "twa ti kè blan",
        "yon ti zetwal vèt anwo yon gwo sèk jòn",
        "de ti flèch zoranj anwo de gwo zetwal jòn",
        "twa gwo sèk vyolèt anwo twa ti kè ble",
        "yon gwo kè blan sou bò gòch yon ti zetwal nwa",
        "de gwo bag wouj sou bò gòch de ti triyang vyolèt",
        "twa gwo kwa zoranj sou bò gòch twa gwo bag nwa",
        "yon ti triyang jòn sou bò gòch yon gwo flèch vèt",
        "de ti kare ble anwo yon ti kè blan",
        "twa ti flèch vèt sou bò gòch de gwo kwa zoranj",
        "twa ti zetwal wouj anndan yon gwo kare ble",
        "de ti sèk nwa anndan yon gwo zetwal blan",
        "yon ti kwa blan anndan yon gwo bag vyolèt",
        "yon gwo flèch nwa sou bò gòch twa ti sèk wouj",
    ],
}
QUESTIONS = {  # (scene, kind, question, answer)
    "en": [
        ("2 small red star above 1 large blue ring", "colour", "What colour are the stars?", "red"),
        ("2 small red star above 1 large blue ring", "count", "How many rings are there?", "one"),
        ("2 small red star above 1 large blue ring", "position", "What is above the ring?", "two small red stars"),
        ("1 small red star left_of 3 large blue ring", "colour", "What colour is the star?", "red"),
        (
            "1 small red star left_of 3 large blue ring",
            "position",
            "What is to the left of the rings?",
            "a small red star",
        ),
        ("1 small red star inside 1 large blue ring", "position", "What is inside the ring?", "a small red star"),
    ],
    "de": [
        ("2 small orange star above 1 large blue heart", "colour", "Welche Farbe haben die Sterne?", "orange"),
        ("2 small orange star above 1 large blue heart", "count", "Wie viele Herzen sind zu sehen?", "eins"),
        (
            "2 small orange star above 1 large blue heart",
            "position",
            "Was befindet sich über dem Herzen?",
            "zwei kleine orangefarbene Sterne",
        ),
        ("1 small purple star left_of 3 large blue ring", "count", "Wie viele Sterne sind zu sehen?", "einer"),
        (
            "1 small purple star left_of 3 large blue ring",
            "position",
            "Was befindet sich links von den Ringen?",
            "ein kleiner lila Stern",
        ),
        (
            "1 small purple star left_of 1 large blue ring",
            "position",
            "Was befindet sich links vom Ring?",
            "ein kleiner lila Stern",
        ),
        (
            "1 small red square inside 1 large blue cross",
            "position",
            "Was befindet sich im Kreuz?",
            "ein kleines rotes Quadrat",
        ),
    ],
    "fr": [
        (
            "2 small green star above 1 large white cross",
            "colour",
            "De quelle couleur sont les étoiles\u00a0?",
            "vertes",
        ),
        ("2 small green star above 1 large white cross", "colour", "De quelle couleur est la croix\u00a0?", "blanche"),
        ("2 small green star above 1 large white cross", "count", "Combien de croix y a-t-il\u00a0?", "une"),
        ("2 small green star above 1 large white cross", "count", "Combien d'étoiles y a-t-il\u00a0?", "deux"),
        (
            "1 small red cross above 1 large blue heart",
            "position",
            "Qu'y a-t-il au-dessus du cœur\u00a0?",
            "une petite croix rouge",
        ),
        (
            "1 small red cross left_of 1 large blue ring",
            "position",
            "Qu'y a-t-il à gauche de l'anneau\u00a0?",
            "une petite croix rouge",
        ),
        (
            "1 small red cross left_of 2 large blue ring",
            "position",
            "Qu'y a-t-il à gauche des anneaux\u00a0?",
            "une petite croix rouge",
        ),
        (
            "1 small red cross above 1 large blue arrow",
            "position",
            "Qu'y a-t-il au-dessus de la flèche\u00a0?",
            "une petite croix rouge",
        ),
        (
            "1 small red cross inside 1 large blue star",
            "position",
            "Qu'y a-t-il dans l'étoile\u00a0?",
            "une petite croix rouge",
        ),
    ],
    "ru": [
        ("2 small blue star above 1 large white ring", "colour", "Какого цвета звёзды?", "синего"),
        ("2 small blue star above 1 large white ring", "count", "Сколько звёзд на картинке?", "две"),
        ("2 small blue star above 1 large white ring", "count", "Сколько колец на картинке?", "одно"),
        (
            "2 small blue star above 1 large white ring",
            "position",
            "Что находится над кольцом?",
            "две маленькие синие звезды",
        ),
        ("2 small blue heart left_of 3 large white arrow", "count", "Сколько сердец на картинке?", "два"),
        (
            "2 small blue heart left_of 3 large white arrow",
            "position",
            "Что находится слева от стрелок?",
            "два маленьких синих сердца",
        ),
        ("1 small red arrow inside 1 large blue star", "count", "Сколько стрелок на картинке?", "одна"),
        (
            "1 small red arrow inside 1 large blue star",
            "position",
            "Что находится внутри звезды?",
            "маленькая красная стрелка",
        ),
    ],
    "ar": [
        ("2 small red star above 1 large white ring", "colour", "ما لون النجمتين؟", "أحمر"),
        ("2 small red star above 1 large white ring", "count", "كم نجمة في الصورة؟", "اثنتان"),
        ("2 small red star above 1 large white ring", "count", "كم حلقة في الصورة؟", "واحدة"),
        ("2 small red star above 1 large white ring", "position", "ماذا يوجد فوق الحلقة؟", "نجمتان حمراوان صغيرتان"),
        ("3 small red arrow left_of 2 large white heart", "count", "كم سهمًا في الصورة؟", "ثلاثة"),
        (
            "3 small red arrow left_of 2 large white heart",
            "position",
            "ماذا يوجد على يسار القلبين؟",
            "ثلاثة أسهم حمراء صغيرة",
        ),
        ("1 small red arrow inside 1 large blue square", "position", "ماذا يوجد داخل المربع؟", "سهم أحمر صغير"),
    ],
    "hi": [
        ("2 small blue star above 1 large white ring", "colour", "तारों का रंग क्या है?", "नीला"),
        ("2 small blue star above 1 large white ring", "count", "कितने तारे हैं?", "दो"),
        ("2 small blue star above 1 large white ring", "count", "कितने छल्ले हैं?", "एक"),
        ("2 small blue star above 1 large white ring", "position", "छल्ले के ऊपर क्या है?", "दो छोटे नीले तारे"),
        ("1 small blue star left_of 3 large white heart", "position", "दिलों के बाईं ओर क्या है?", "एक छोटा नीला तारा"),
        ("1 small red arrow inside 1 large blue square", "position", "वर्ग के अंदर क्या है?", "एक छोटा लाल तीर"),
    ],
    "bn": [
        ("2 small blue star above 1 large white ring", "colour", "তারাগুলির রং কী?", "নীল"),
        ("2 small blue star above 1 large white ring", "colour", "বলয়টির রং কী?", "সাদা"),
        ("2 small blue star above 1 large white ring", "count", "কয়টি তারা আছে?", "দুটি"),
        ("2 small blue star above 1 large white ring", "position", "বলয়টির উপরে কী আছে?", "দুটি ছোট নীল তারা"),
        ("1 small blue star left_of 3 large white heart", "position", "হৃদয়গুলির বাম দিকে কী আছে?", "একটি ছোট নীল তারা"),
        ("1 small red arrow inside 1 large blue square", "position", "বর্গক্ষেত্রটির ভিতরে কী আছে?", "একটি ছোট লাল তীর"),
    ],
    "zh": [
        ("2 small blue star above 1 large white ring", "colour", "星星是什么颜色的？", "蓝色"),
        ("2 small blue star above 1 large white ring", "count", "有几颗星星？", "两颗"),
        ("2 small blue star above 1 large white ring", "count", "有几个圆环？", "一个"),
        ("2 small blue star above 1 large white ring", "position", "圆环上方有什么？", "两颗蓝色的小星星"),
        ("1 small blue star left_of 3 large white heart", "position", "爱心左边有什么？", "一颗蓝色的小星星"),
        ("1 small red arrow inside 1 large blue square", "position", "正方形里面有什么？", "一个红色的小箭头"),
    ],
    "ko": [
        ("2 small blue star above 1 large white ring", "colour", "별은 무슨 색인가요?", "파란색"),
        ("2 small blue star above 1 large white ring", "colour", "고리는 무슨 색인가요?", "하얀색"),
        ("2 small blue star above 1 large white ring", "count", "별이 몇 개 있나요?", "두 개"),
        ("2 small blue star above 1 large white ring", "count", "고리가 몇 개 있나요?", "한 개"),
        ("2 small blue star above 1 large white ring", "position", "고리 위에는 무엇이 있나요?", "작은 파란 별 두 개"),
        ("1 small orange star left_of 3 large white heart", "colour", "별은 무슨 색인가요?", "주황색"),
        (
            "1 small orange star left_of 3 large white heart",
            "position",
            "하트 왼쪽에는 무엇이 있나요?",
            "작은 주황색 별 한 개",
        ),
        (
            "1 small red arrow inside 1 large blue square",
            "position",
            "정사각형 안에는 무엇이 있나요?",
            "작은 빨간 화살표 한 개",
        ),
    ],
    "tr": [
        ("2 small blue star above 1 large white ring", "colour", "Yıldızlar ne renk?", "mavi"),
        ("2 small blue star above 1 large white ring", "colour", "Halka ne renk?", "beyaz"),
        ("2 small blue star above 1 large white ring", "count", "Kaç yıldız var?", "iki"),
        (
            "2 small blue star above 1 large white ring",
            "position",
            "Halkanın üstünde ne var?",
            "iki küçük mavi yıldız",
        ),
        (
            "1 small blue star left_of 3 large white heart",
            "position",
            "Kalplerin solunda ne var?",
            "küçük mavi bir yıldız",
        ),
        (
            "1 small red arrow inside 1 large blue triangle",
            "position",
            "Üçgenin içinde ne var?",
            "küçük kırmızı bir ok",
        ),
    ],
    "sw": [
        ("2 small black circle above 1 large green arrow", "colour", "Miduara ina rangi gani?", "nyeusi"),
        ("2 small black circle above 1 large green arrow", "colour", "Mshale una rangi gani?", "kijani"),
        ("2 small black circle above 1 large green arrow", "count", "Kuna miduara mingapi?", "miwili"),
        ("2 small black circle above 1 large green arrow", "count", "Kuna mishale mingapi?", "mmoja"),
        (
            "2 small black circle above 1 large green arrow",
            "position",
            "Kuna nini juu ya mshale?",
            "miduara miwili midogo myeusi",
        ),
        ("2 small red star left_of 3 large white heart", "count", "Kuna nyota ngapi?", "mbili"),
        (
            "2 small red star left_of 3 large white heart",
            "position",
            "Kuna nini upande wa kushoto wa mioyo?",
            "nyota mbili ndogo nyekundu",
        ),
        (
            "1 small red cross inside 1 large blue ring",
            "position",
            "Kuna nini ndani ya pete?",
            "msalaba mmoja mdogo mwekundu",
        ),
    ],
    "ht": [
        ("2 small blue star above 1 large white ring", "colour", "Ki koulè zetwal yo ye?", "ble"),
        ("2 small blue star above 1 large white ring", "colour", "Ki koulè bag la ye?", "blan"),
        ("2 small blue star above 1 large white ring", "count", "Konbyen zetwal ki genyen?", "de"),
        ("2 small blue star above 1 large white ring", "count", "Konbyen bag ki genyen?", "youn"),
        ("2 small blue star above 1 large white ring", "position", "Kisa ki anwo bag la?", "de ti zetwal ble"),
        ("1 small red ring left_of 1 large blue square", "position", "Kisa ki sou bò gòch kare a?", "yon ti bag wouj"),
        (
            "1 small red ring inside 1 large blue triangle",
            "position",
            "Kisa ki anndan triyang lan?",
            "yon ti bag wouj",
        ),
    ],
}
SCRIPT_NAMES = {  # script of languages.tsv: what the Unicode names of its letters begin with
    "Latn": "LATIN",
    "Cyrl": "CYRILLIC",
    "Arab": "ARABIC",
    "Deva": "DEVANAGARI",
    "Beng": "BENGALI",
    "Hans": "CJK UNIFIED",
    "Hang": "HANGUL",
}
GROUPS = [Group(*values) for values in itertools.product(COUNTS, SIZES, COLOURS, SHAPES)]


def scene_of(text: str) -> Scene:
    """The scene of "2 small red star above 1 large blue ring"."""
    count, size, colour, shape, *rest = text.split()
    subject = Group(int(count), size, colour, shape)
    if not rest:
        return Scene(subject)
    relation, count, size, colour, shape = rest
    return Scene(subject, relation, Group(int(count), size, colour, shape))


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_captions_are_the_sentences_a_reader_approved(language):
    assert [caption(scene_of(text), language) for text in SCENES] == CAPTIONS[language]


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_questions_are_the_ones_a_reader_approved(language):
    for text, kind, question, answer in QUESTIONS[language]:
        assert QuestionAnswer(kind, question, answer) in questions(scene_of(text), language)


def test_the_approved_sentences_cover_every_shape_colour_and_count_in_both_places_and_every_relation():
    scenes = [scene_of(text) for text in SCENES]
    references = [scene.reference for scene in scenes if scene.reference is not None]
    for groups in ([scene.subject for scene in scenes], references):
        assert {group.shape for group in groups} == set(SHAPES)
        assert {group.count for group in groups} == set(COUNTS)
        assert {group.colour for group in groups} == set(COLOURS)
    assert {scene.relation for scene in scenes} == {None, "left_of", "above", "inside"}


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_no_two_groups_read_the_same_in_any_place(language):
    other = Group(1, "large", "blue", "square")
    assert len(GROUPS) == 384
    assert len({caption(Scene(group), language) for group in GROUPS}) == 384
    for relation in ("left_of", "above"):
        assert len({caption(Scene(group, relation, other), language) for group in GROUPS}) == 384
        assert len({caption(Scene(other, relation, group), language) for group in GROUPS}) == 384
    containers = [Group(1, "large", colour, shape) for colour in COLOURS[1:] for shape in SHAPES]
    contained = Group(2, "small", "red", "star")
    assert len({caption(Scene(contained, "inside", group), language) for group in containers}) == len(containers)


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_no_two_scenes_read_the_same(language):
    rng = random.Random(0)
    scenes = {sample(rng) for sample in (sample_training_scene, sample_held_out_scene) for _ in range(2000)}
    assert len({caption(scene, language) for scene in scenes}) == len(scenes)


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_texts_are_normalised_and_written_in_the_script_of_their_language(language):
    rng = random.Random(0)
    script_names = SCRIPT_NAMES[get_language(language).script]
    for _ in range(500):
        scene = sample_training_scene(rng)
        texts = [caption(scene, language)]
        for asked in questions(scene, language):
            texts += [asked.question, asked.answer]
        for text in texts:
            assert text == unicodedata.normalize("NFC", text) == text.strip()
            assert "  " not in text
            letters = [letter for letter in text if letter not in " '-?？؟\u00a0\u064b"]
            assert letters
            assert [letter for letter in letters if not unicodedata.name(letter).startswith(script_names)] == []


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_a_scene_asks_colour_and_count_of_every_group_and_one_position(language):
    kinds = [asked.kind for asked in questions(scene_of("2 small red star above 1 large blue ring"), language)]
    assert kinds == ["colour", "count", "colour", "count", "position"]
    assert [asked.kind for asked in questions(scene_of("2 small red star"), language)] == ["colour", "count"]


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_two_groups_of_one_shape_are_not_asked_about(language):
    assert questions(scene_of("2 small red star above 1 large blue star"), language) == []


@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_a_count_question_does_not_give_its_answer_away(language):
    asked = {questions(Scene(Group(count, "small", "red", "star")), language)[1].question for count in COUNTS}
    assert len(asked) == 1


def test_an_unknown_language_is_an_error():
    with pytest.raises(ValueError, match=r"no captions in 'nl', only in en, de, fr, .*Choose one of these codes"):
        caption(scene_of("2 small red star"), "nl")
    with pytest.raises(ValueError, match=r"no captions in 'nl'"):
        questions(scene_of("2 small red star"), "nl")


def test_the_languages_are_known_to_the_project_and_span_six_scripts():
    assert len(SCENE_LANGUAGES) == 12
    assert len({get_language(language).script for language in SCENE_LANGUAGES}) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("language", SCENE_LANGUAGES)
def test_every_word_of_an_unseen_caption_stands_in_some_training_caption(language):
    rng = random.Random(0)
    seen, unseen = (
        {word for _ in range(num) for word in caption(sample(rng), language).split()}
        for num, sample in ((20_000, sample_training_scene), (3_000, sample_held_out_scene))
    )
    if language == "zh":  # without spaces
        seen, unseen = set("".join(seen)), set("".join(unseen))
    assert unseen <= seen
