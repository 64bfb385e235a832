"""Env files are read as a shell would read them, and never run."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from vmagent.config.damage import LARGEST
from vmagent.config.envfile import EnvFile, parse

PATH = Path("/var/lib/istio/envoy/cluster.env")

READ_ALIKE = [
    ("A=1", "1"),
    ("A=", ""),
    ("A=''", ""),
    ("A='x y'", "x y"),
    ('A="x y"', "x y"),
    ("A=a\\ b", "a b"),
    ('A="a\\$b\\"c\\\\d"', 'a$b"c\\d'),
    ('A="\\n stays"', "\\n stays"),
    ("A='it'\"'\"'s'", "it's"),
    ("A=''\\''x'", "'x"),
    ("A=x'y'\"z\"w", "xyzw"),
    ("A=a=b", "a=b"),
    ("A=*", "*"),
    ("A=[a-z]?", "[a-z]?"),
    ("A=x#y # a comment", "x#y"),
    ("# A=0\nA=1", "1"),
    ("A=1\nA=2", "2"),
    ("export A=1", "1"),
    ("export B=0 A=1", "1"),
    ("A=1; B=2", "1"),
    ("  A=1", "1"),
    ("\tA=1", "1"),
    ("A=x\nA+=y", "xy"),
    ("A=a\\\nb", "ab"),
    ('A="a\\\nb"', "ab"),
    ("A='two\nlines'", "two\nlines"),
    ("B=2\nA=$B", "2"),
    ("B=2\nA=${B}x", "2x"),
    ('B="2 3"\nA=$B', "2 3"),
    ("B=2\nA='$B'", "$B"),
    ("A=$NOBODY", ""),
    ("A=${NOBODY:-word}", "word"),
    ("A=${NOBODY-word}", "word"),
    ("B=\nA=${B:-word}", "word"),
    ("B=\nA=${B-word}", ""),
    ("A=$INHERITED", "from outside"),
    ('A="x$"', "x$"),
    ("A=$", "$"),
    ('A="$\'"', "$'"),
    ("A=x\\", "x"),
    ('A={"app":"nginx"}', "{app:nginx}"),
    ("""A='{"app":"nginx"}'""", '{"app":"nginx"}'),
    ("A=http://x/y?z=%20~a", "http://x/y?z=%20~a"),
    ("A=grün", "grün"),
    ("A={x,y}", "{x,y}"),
    ("export B=1; A={x,y}", "{x,y}"),
    ("export A='{x,y}'", "{x,y}"),
]


def read(text: str | bytes) -> EnvFile:
    data = text.encode() if isinstance(text, str) else text
    return parse(data, PATH, {"INHERITED": "from outside"})


@pytest.mark.parametrize(("text", "value"), READ_ALIKE)
def test_a_value_is_what_a_shell_would_make_of_it(text: str, value: str) -> None:
    found = read(text)
    assert found.problems == ()
    assert found.values["A"].value == value


@pytest.mark.effects
@pytest.mark.parametrize(("text", "value"), READ_ALIKE)
def test_a_shell_agrees(text: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.env"
    file.write_text(text + "\n")
    shell = subprocess.run(
        ["/bin/bash", "-c", f'set -ea; . {file}; printf %s "$A"'],
        env={"INHERITED": "from outside", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    assert shell.stdout.decode() == value


PIECES = (
    *("a", "b", "=", ":", "~", "#", " ", "\t", "%", "é", "/", "*", "?", "[a]", "!", "@", "+", "-", "{x,y}"),
    *("'x y'", '"q r"', "''", '""', '"#"', '"~"', '":"~', '"a\nb"', "'a\nb'", "~/", ":~/", "a:~b"),
    *("$", "$B", "${B}", '"a$B"', "${C:-d}", "${C-e}", "${C:-~}", "$$", "$_", '"$"', '"$$"'),
    *("${UID}", "$RANDOM", "$HOSTNAME", "\\$", '"\\$"', '"\\x"', '"\\\n"', "\\n", "\\ ", "\\\n", "\\~"),
)
ENDS = ("\n", "\n", ";", "; ", " # c\n", "\n\n")


def walk(dice: random.Random) -> str:
    """A file of one to three assignments, of pieces that shells treat in their own ways."""
    lines = []
    for _ in range(dice.randint(1, 3)):
        start = dice.choice(("", "", "", "export ", "  ", "\t")) + dice.choice("ABCD")
        value = "".join(dice.choices(PIECES, k=dice.randint(0, 5)))
        lines.append(start + dice.choice(("=", "=", "=", "+=")) + value + dice.choice(ENDS))
    return "".join(lines)


@pytest.mark.effects
def test_whatever_is_read_a_shell_reads_alike(tmp_path: Path) -> None:
    """1500 files in one shell, a subshell each; always the same ones."""
    dice = random.Random(1)
    found = [(text, parse(text.encode(), PATH, {})) for text in (walk(dice) for _ in range(1500))]
    kept = [(text, file) for text, file in found if not file.problems]
    assert 400 < len(kept) < 1400
    for number, (text, _) in enumerate(kept):
        (tmp_path / f"{number}.env").write_text(text)
    say = 'printf "%s\\0" "${A-unset}" "${B-unset}" "${C-unset}" "${D-unset}"'
    script = f'for ((n = 0; n < $1; n++)); do (. "./$n.env"; {say}); done'
    shell = subprocess.run(
        ["/bin/bash", "--norc", "-c", script, "bash", str(len(kept))],
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/u", "LC_ALL": "C.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    values = iter(shell.stdout.decode().split("\0"))
    for text, file in kept:
        ours = [file.values[key].value if key in file.values else "unset" for key in "ABCD"]
        assert [next(values) for _ in "ABCD"] == ours, text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("A=$(id)", 1, "A='$(id)': command substitution"),
        ("A=`id`", 1, "A='`id`': command substitution"),
        ('A="$(id)"', 1, "command substitution"),
        ("A=1 id", 1, ":1: not an assignment; write KEY=VALUE"),
        ("source other.env", 1, ":1: not an assignment"),
        ("if true; then", 1, ":1: not an assignment"),
        ("unset A", 1, ":1: not an assignment"),
        ("A = 1", 1, ":1: spaces around =; write KEY=VALUE without spaces"),
        ("A", 1, ":1: not an assignment"),
        ("B=1\nA: 2", 2, ":2: not an assignment"),
        ("A=~/x", 1, "~ is not expanded here"),
        ("A=a:~/b", 1, "~ is not expanded here; write the whole path"),
        ("A=a:~", 1, "~ is not expanded here"),
        ("A=${B:-~/x}", 1, "~ is not expanded here"),
        ("A=x$$y", 1, "an expansion that is not supported here"),
        ('A="$$"', 1, "an expansion that is not supported here"),
        ("A=$[1+1]", 1, "an expansion that is not supported here"),
        ("A=$_", 1, "$_, which only a shell knows; write the value itself"),
        ("A=${HOSTNAME}", 1, "$HOSTNAME, which only a shell knows"),
        ("export B=1 A={x,y}", 1, "unquoted { behind export; put the value in single quotes"),
        ("A=(1 2)", 1, "a shell array"),
        ("A=x&", 1, "unquoted &; put the value in single quotes"),
        ("A=x|y", 1, "unquoted |"),
        ("A=<x", 1, "unquoted <"),
        ("A=${B//x/y}", 1, "an expansion that is not supported here"),
        ("A=$'x'", 1, "an expansion that is not supported here"),
        ("A=$1", 1, "an expansion that is not supported here"),
        ("\nA='x", 2, "A=\"'x\": the quote ' is never closed"),
        ('A="x', 1, 'the quote " is never closed'),
    ],
)
def test_what_only_a_shell_could_answer_is_refused_with_file_line_and_remedy(
    text: str, line: int, says: str
) -> None:
    (problem,) = read(text).problems
    assert str(problem).startswith(f"{PATH}:{line}: ")
    assert says in str(problem)
    assert problem.remedy


@pytest.mark.parametrize("text", ["A=\\\n~/x", "A=a:\\\n~/x", "A=a\\\n:~/x", "A+=~"])
def test_a_continued_line_hides_no_tilde(text: str) -> None:
    assert "~ is not expanded here" in str(read(text).problems[0])


def test_what_the_environment_says_is_known_whatever_a_shell_would_set() -> None:
    assert parse(b"A=$HOSTNAME", PATH, {"HOSTNAME": "vm"}).values["A"].value == "vm"


def test_reading_goes_on_behind_a_mistake_so_that_all_are_found_at_once() -> None:
    found = read("A=$(id)\nB=2\nC = 3\nD='4'\n")
    assert [problem.where for problem in found.problems] == [f"{PATH}:1", f"{PATH}:3"]
    assert {key: entry.value for key, entry in found.values.items()} == {"B": "2", "D": "4"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"A=1\r\nB=2\r\n", f"{PATH}:1: A: Windows line end; sed -i 's/\\r$//' {PATH}"),
        (b"A=1\nB=2\r\n", f"{PATH}:2: B: Windows line end"),
        (b"A=1\nB=\x00\n", f"{PATH}:2: B: a NUL byte"),
        (b"A=\xff\n", f"{PATH}:1: A: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"\xef\xbb\xbfA=1\n", f"{PATH}:1: starts with a byte order mark; sed -i"),
        (b"A" * (LARGEST + 1), "too many for an env file"),
    ],
)
def test_damage_to_the_whole_file_is_named_with_its_remedy(data: bytes, says: str) -> None:
    found = read(data)
    assert found.entries == ()
    assert says in str(found.problems[0])


def test_each_value_knows_its_line() -> None:
    found = read("# head\nA='two\nlines'\n\nexport B=1\n")
    assert [(entry.key, entry.where) for entry in found.entries] == [("A", f"{PATH}:2"), ("B", f"{PATH}:5")]


def test_a_secret_is_not_quoted_in_a_message() -> None:
    (problem,) = read("XDS_HEADER_authorization=hunter2&").problems
    assert "hunter2" not in str(problem)
    assert "XDS_HEADER_authorization=(hidden)" in str(problem)


@pytest.mark.parametrize(
    "line", ["root:$6$hunter2:19000:0:99999:7:::", "hunter2", "hunter2 = x", "export hunter2", "A=1 hunter2"]
)
def test_of_a_line_that_is_no_assignment_nothing_is_quoted(line: str) -> None:
    """The file may be one that was not meant for us."""
    (problem,) = read(line).problems
    assert str(problem).startswith(f"{PATH}:1: ")
    assert "hunter2" not in str(problem)


def test_every_prefix_of_a_file_is_read_or_refused_and_never_crashes() -> None:
    text = "".join(f"{case}\n" for case, _ in READ_ALIKE)
    for end in range(len(text)):
        read(text[:end])


@pytest.mark.effects
def test_the_capture_process_can_read_env_files_with_the_standard_library_alone() -> None:
    script = (
        "import sys, vmagent.config.envfile, vmagent.config.layers; "
        "print([name for name in ('yaml', 'click', 'grpc', 'google') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
