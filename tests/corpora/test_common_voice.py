"""Common Voice: the reader on miniature, published and real trees."""

from collections import Counter

import pytest

from voxbench.audio import load_audio
from voxbench.corpora import read_corpus
from voxbench.corpora.common_voice import GENDER_WORDS, read
from voxbench.corpora.integrity import Speakers
from voxbench.schema import AGE_GROUPS, InputError, Split

OLD = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent", "locale", "segment"]
NEW = ["client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender"]
NEW += ["accents", "variant", "locale", "segment"]


def row(path, client="ann", **fields):
    return {"path": path, "client_id": client, "sentence": f"About {path}.", "up_votes": "2"} | fields


def make_tree(root, tables, columns=NEW, newline="\n", bom=""):
    """Write a language folder; a table is a list of rows (dicts), or text as it is."""
    (root / "clips").mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if not isinstance(rows, str):
            lines = [columns, *([fields.get(column, "") for column in columns] for fields in rows)]
            rows = bom + "".join("\t".join(line) + newline for line in lines)
        (root / f"{name}.tsv").write_bytes(rows.encode())
    return root


def four_sets(**tables):
    return {"train": [], "dev": [], "test": [], "validated": []} | tables


def test_rows_get_the_set_they_stand_in_and_the_other_tables_are_never_read(tmp_path):
    train, dev, test, rest = (row(f"{name}.mp3", client=name) for name in ("a", "b", "c", "d"))
    tables = four_sets(train=[train], dev=[dev], test=[test], validated=[rest, test, train, dev])
    never = dict.fromkeys(("other", "invalidated", "reported"), "not a table")
    rows = list(read(make_tree(tmp_path / "cy", tables | never)))
    assert [(r.id, r.split) for r in rows] == [
        ("clips/a.mp3", Split.TRAIN),
        ("clips/b.mp3", Split.VALID),
        ("clips/c.mp3", Split.TEST),
        ("clips/d.mp3", None),
    ]
    assert rows[0].path == tmp_path / "cy" / "clips" / "a.mp3"
    assert (rows[0].speaker, rows[0].text, rows[0].language) == ("a", "About a.mp3.", "cy")
    assert (rows[0].gender, rows[0].age_group, rows[0].session, rows[0].extra) == (None, None, None, {})


@pytest.mark.parametrize(("columns", "accent"), [(OLD, "accent"), (NEW, "accents")])
@pytest.mark.parametrize(("newline", "bom"), [("\n", ""), ("\r\n", "\ufeff"), ("\r", "")])
def test_headers_of_all_releases_and_any_line_ends(tmp_path, columns, accent, newline, bom):
    fields = row("a.mp3", gender="female", age="forties", locale="ga-IE", segment="Benchmark", **{accent: "Ulster"})
    root = make_tree(tmp_path, {"validated": [fields, row("b.mp3")]}, columns, newline, bom)
    first, second = read(root)
    assert (first.gender, first.age_group, first.language) == ("female", "fourties", "ga-IE")
    assert first.extra == {
        "accent": "Ulster",
        "segment": "Benchmark",
        "gender_word": "female",
        "age_word": "forties",
    }
    assert second.id == "clips/b.mp3"


def test_quotes_and_unusual_line_separators_belong_to_the_sentence(tmp_path):
    sentences = ['"Open, he said.', 'He said "no".', "a\u2028b\x85c", "'", "back\\slash"]
    rows = [row(f"{n}.mp3", sentence=sentence, accents='"') for n, sentence in enumerate(sentences)]
    assert [r.text for r in read(make_tree(tmp_path, {"validated": rows}))] == sentences


def test_an_empty_sentence_is_no_text(tmp_path):
    assert next(read(make_tree(tmp_path, {"validated": [row("a.mp3", sentence="")]}))).text is None


@pytest.mark.parametrize(
    ("word", "gender"),
    [
        ("male", "male"),
        ("male_masculine", "male"),
        ("female", "female"),
        ("female_feminine", "female"),
        ("other", None),
        ("transgender", None),
        ("non-binary", None),
        ("do_not_wish_to_say", None),
        ("intersex", None),
        ("", None),
    ],
)
def test_gender_words(tmp_path, word, gender):
    (utterance,) = read(make_tree(tmp_path, {"validated": [row("a.mp3", gender=word)]}))
    assert utterance.gender == gender
    assert utterance.extra.get("gender_word", "") == word
    assert len(GENDER_WORDS) == 10


@pytest.mark.parametrize(
    ("word", "group"),
    [(group, group) for group in AGE_GROUPS[:-1]]
    + [("forties", "fourties"), ("", None)]
    + [(word, "sixties+") for word in ("sixties", "seventies", "eighties", "nineties")],
)
def test_age_words(tmp_path, word, group):
    (utterance,) = read(make_tree(tmp_path, {"validated": [row("a.mp3", age=word)]}))
    assert (utterance.age_group, utterance.age_years) == (group, None)
    assert utterance.extra.get("age_word", "") == word


def test_a_client_who_contradicts_themselves_loses_that_label_everywhere(tmp_path):
    both = [
        row("a.mp3", "ann", gender="male_masculine", age="twenties"),
        row("b.mp3", "ann", gender="female_feminine", age="twenties"),
        row("c.mp3", "bob", gender="male_masculine", age="twenties"),
        row("d.mp3", "bob", gender="", age="thirties"),
        row("e.mp3", "eve", gender="transgender", age="sixties"),
        row("f.mp3", "eve", gender="female_feminine", age="nineties"),
    ]
    rows = list(read(make_tree(tmp_path, four_sets(test=both[:1], validated=both))))
    labels = {r.id[6]: (r.gender, r.age_group) for r in rows}
    assert labels == {
        "a": (None, "twenties"),
        "b": (None, "twenties"),
        "c": ("male", None),
        "d": (None, None),
        "e": (None, "sixties+"),
        "f": ("female", "sixties+"),
    }
    assert [r.extra["gender_word"] for r in rows[:2]] == ["male_masculine", "female_feminine"]
    assert rows[2].extra["age_word"] == "twenties"
    speakers = Speakers()
    for utterance in rows:
        speakers.hear(utterance)
    speakers.check()


def test_a_client_in_two_official_sets_is_reported_as_it_is(tmp_path):
    tables = four_sets(train=[row("a.mp3")], test=[row("b.mp3")])
    assert [(r.speaker, r.split) for r in read(make_tree(tmp_path, tables))] == [
        ("ann", Split.TRAIN),
        ("ann", Split.TEST),
    ]


def test_repeated_rows_are_one_utterance(tmp_path):
    tables = four_sets(train=[row("a.mp3"), row("a.mp3")], validated=[row("b.mp3"), row("b.mp3"), row("a.mp3")])
    assert [r.id for r in read(make_tree(tmp_path, tables))] == ["clips/a.mp3", "clips/b.mp3"]


def test_a_missing_suffix_is_added(tmp_path):
    found = read(make_tree(tmp_path, {"validated": [row("0123abcd"), row("b.mp3"), row("c.wav")]}))
    assert [r.id for r in found] == [f"clips/{name}" for name in ("0123abcd.mp3", "b.mp3", "c.wav")]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            four_sets(train=[row("a.mp3")], test=[row("a.mp3")]),
            r"test\.tsv line 2: clip 'a\.mp3' is in the train set too",
        ),
        (
            four_sets(train=[row("a.mp3")], validated=[row("a.mp3", "bob")]),
            r"validated\.tsv line 2: .* another client or sentence than in train\.tsv",
        ),
        (
            four_sets(validated=[row("a.mp3"), row("a.mp3", sentence="Other.")]),
            r"validated\.tsv line 3: .* another client or sentence",
        ),
        (
            four_sets(validated=[row("a.mp3", gender="femal")]),
            r"line 2: unknown gender 'femal' \(did you mean 'female'\?\); known: male, .*or nothing",
        ),
        (
            four_sets(validated=[row("a.mp3"), row("b.mp3", age="twentees")]),
            r"line 3: unknown age 'twentees' \(did you mean 'twenties'\?\)",
        ),
        (four_sets(dev=[row("a.mp3", client="")]), r"dev\.tsv line 2: the client_id is empty"),
        (four_sets(validated=[row("")]), "line 2: path ''; expected the bare name"),
        (four_sets(validated=[row("../a.mp3")]), "line 2: path '../a.mp3'"),
        (four_sets(validated=[row("..\\a.mp3")]), "line 2: path "),
        (four_sets(validated=[row("..")]), r"line 2: path '\.\.'"),
        (four_sets(validated=[row("/etc/a.mp3")]), "line 2: path '/etc/a.mp3'"),
        (four_sets(validated=[row("a.mp3", sentence="a\tb")]), "line 2: the number of fields"),
        ({"validated": "\t".join(NEW) + "\nann\ta.mp3\n"}, "line 2: the number of fields"),
        ({"validated": "client\tpath\tsentence\tage\tgender\n"}, r"no column 'client_id' \(did you mean 'client'\?\)"),
        ({"validated": ",".join(NEW) + "\n"}, "no column 'client_id'.* separated by tabs"),
        ({"validated": ""}, "no column 'client_id'; found: nothing"),
        ({"train": [], "validated": []}, r"lacks dev\.tsv, test\.tsv"),
    ],
)
def test_mistakes_are_named_before_the_first_row(tmp_path, tables, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, tables))


def test_text_in_another_encoding_is_refused(tmp_path):
    root = make_tree(tmp_path, {"validated": [row("a.mp3", sentence="Привет.")]})
    text = (root / "validated.tsv").read_text(encoding="utf-8")
    (root / "validated.tsv").write_bytes(text.encode("cp1251"))
    with pytest.raises(InputError, match=r"validated\.tsv .*expected UTF-8"):
        read(root)


def test_missing_parts_are_named_with_the_expected_tree(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder; expected the folder of one language .* clips/"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no train\.tsv and no validated\.tsv in .*; expected the folder"):
        read(tmp_path)
    root = make_tree(tmp_path / "en", {"validated": []})
    with pytest.raises(InputError, match=r"one of the languages in it, such as .*en$"):
        read(tmp_path)
    assert list(read(root)) == []
    (root / "clips").rmdir()
    with pytest.raises(InputError, match=r"no folder .*clips; expected"):
        read(root)


def lists_tree(shared, root, name, table):
    """Put a published table into a tree of its own, the other tables empty."""
    text = (shared / "lists" / "common_voice" / name).read_text(encoding="utf-8")
    make_tree(root, four_sets() if table != "validated" else {}, text.split("\n", 1)[0].split("\t"))
    (root / f"{table}.tsv").write_text(text, encoding="utf-8", newline="")
    return root


@pytest.mark.parametrize(
    ("name", "table", "speakers", "genders", "ages"),
    [
        (
            "6.1_en_validated_sample.tsv",
            "validated",
            87,
            {"male": 44, "female": 15, None: 33},
            {"teens": 7, "twenties": 23, "thirties": 15, "fourties": 8, "fifties": 2, "sixties+": 4, None: 33},
        ),
        (
            "6.1_ru_validated_sample.tsv",
            "validated",
            44,
            {"male": 69, "female": 17, None: 7},
            {"teens": 2, "twenties": 54, "thirties": 7, "fourties": 17, "fifties": 6, None: 7},
        ),
        (
            "18.0_ps_test.tsv",
            "test",
            512,
            {"male": 2, None: 1461},
            {"teens": 17, "twenties": 107, "thirties": 73, "fourties": 35, "fifties": 17, "sixties+": 2, None: 1212},
        ),
        (
            "19.0_id_test.tsv",
            "test",
            404,
            {"male": 1674, "female": 450, None: 1563},
            {"teens": 485, "twenties": 1102, "thirties": 325, "fourties": 210, "fifties": 24, None: 1541},
        ),
        ("22.0_tw_train.tsv", "train", 1, {"male": 200, None: 5}, {"thirties": 200, None: 5}),
    ],
)
def test_published_tables_keep_every_row_and_label(shared, tmp_path, name, table, speakers, genders, ages):
    """The counts are those of the files, taken with awk."""
    rows = list(read(lists_tree(shared, tmp_path, name, table)))
    assert Counter(r.gender for r in rows) == genders
    assert Counter(r.age_group for r in rows) == ages
    assert len({r.speaker for r in rows}) == speakers
    assert {r.split for r in rows} == {{"train": Split.TRAIN, "test": Split.TEST, "validated": None}[table]}
    assert {r.language for r in rows} == {name.split("_")[1]}
    lines = (shared / "lists" / "common_voice" / name).read_text(encoding="utf-8").split("\n")[1:-1]
    column = 3 if "17" <= name[:2] <= "22" else 2
    assert [r.text for r in rows] == [line.split("\t")[column] for line in lines]


def test_tables_of_another_kind_are_refused(shared, tmp_path):
    with pytest.raises(InputError, match="no column"):
        read(lists_tree(shared, tmp_path, "19.0_id_reported.tsv", "validated"))


def test_real_clips(shared):
    release = shared / "corpora" / "common_voice_6_1_sample" / "cv-corpus-6.1-2020-12-11"
    rows = [r for root in sorted(release.iterdir()) for r in read_corpus("common_voice", root)]
    assert len(rows) == 302
    assert len({r.speaker for r in rows}) == 276
    assert Counter(r.gender for r in rows) == {"male": 172, "female": 130}
    assert Counter(r.age_group for r in rows) == {
        "teens": 46,
        "twenties": 60,
        "thirties": 56,
        "fourties": 62,
        "fifties": 45,
        "sixties+": 33,
    }
    assert all(r.path.is_file() for r in rows)
    assert all(r.language == r.path.parents[1].name for r in rows)
    wave, rate_hz = load_audio(next(r for r in rows if r.language == "ru").path)
    assert rate_hz == 48_000
    assert 1.5 * rate_hz <= wave.size <= 7.5 * rate_hz
