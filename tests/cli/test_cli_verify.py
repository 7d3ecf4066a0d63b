"""`verify` and `rules` as people and CI use them: options, files of options, reports, and exit codes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli_kit import Cli

from durastream.rules import FAMILIES, RULES

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "recordings" / "wze99y.jsonl"

UNASKED = {
    "seal", "signature", "first-event-late", "silence-long", "silence-share", "check-failed", "artifact-missing",
    "artifact-differs",
}  # fmt: skip
"""Rules that say nothing before they are told what to look for."""

SARIF: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"$schema", "version", "runs"}, {"version", "runs"}),
    "run": ({"tool", "invocations", "results"}, {"tool"}),
    "tool": ({"driver"}, {"driver"}),
    "component": ({"name", "version", "rules"}, {"name"}),
    "descriptor": (
        {"id", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"}, {"id"}
    ),
    "invocation": ({"executionSuccessful", "toolExecutionNotifications"}, {"executionSuccessful"}),
    "notification": ({"level", "message"}, {"message"}),
    "result": ({"ruleId", "ruleIndex", "level", "message", "locations"}, {"message"}),
    "location": ({"physicalLocation", "logicalLocations"}, set()),
    "physical": ({"artifactLocation", "region"}, set()),
    "artifact": ({"uri"}, set()),
    "region": ({"startLine"}, set()),
    "logical": ({"name", "fullyQualifiedName"}, set()),
    "configuration": ({"level"}, set()),
    "message": ({"text"}, {"text"}),
}  # fmt: skip
"""Objects of SARIF 2.1.0: of the fields that its schema allows those that we use, and those that it requires."""

KIND_OF = {
    "runs": "run", "tool": "tool", "driver": "component", "rules": "descriptor", "invocations": "invocation",
    "toolExecutionNotifications": "notification", "results": "result", "locations": "location",
    "physicalLocation": "physical", "artifactLocation": "artifact", "region": "region", "logicalLocations": "logical",
    "defaultConfiguration": "configuration", "message": "message", "shortDescription": "message",
    "fullDescription": "message", "help": "message", "level": "level",
}  # fmt: skip

DIFFERS = """
import durastream
durastream.text("Mars has two moons.")
durastream.final_answer("Mars has three moons.")
"""


@pytest.fixture
def differing(ds: Cli) -> str:
    """A run that ended well and declared another answer than it streamed."""
    (ds.folder / "agent.py").write_text(DIFFERS, encoding="utf-8")
    done = ds("run", "--view", "none", "--tag", "kind=nightly", "--", "python3", "agent.py")
    assert "NOT reconciled" in done.stderr
    return str(ds.show("latest")["run_id"])


def test_a_finding_is_told_with_its_question_its_event_and_what_to_ask(ds: Cli, differing: str) -> None:
    lines = ds("verify", differing, code=1).stdout.splitlines()
    assert lines[0].startswith(f"{differing}  1 error in ")
    assert lines[1].strip() == FAMILIES["reconcile"]
    assert lines[2].split()[:3] == ["✗", "answer-differs", "event"]
    assert "first at character 10: 'Mars has two moons.' streamed, 'Mars has three moons.' declared" in lines[3]
    assert lines[4].strip() == "→ " + RULES["answer-differs"].ask


def test_a_run_named_twice_is_verified_once_and_two_reports_need_two_files(ds: Cli) -> None:
    ds("run", "--name", "a", "--view", "none", "--", "true")
    assert len(ds.here("verify", "a", "a", "--json").stdout.splitlines()) == 1
    file = str(ds.folder / "report")
    said = ds.here("verify", "a", "--junit", file, "--sarif", f"{ds.folder}/./report", code=2).stderr
    assert "--junit and --sarif name the same file" in said


@pytest.mark.parametrize("name", ["latest", "@2", "@10", "@0"])
def test_a_name_that_means_another_run_is_refused(ds: Cli, name: str) -> None:
    assert f"--name {name}: that means a run by its place" in ds("run", "--name", name, "--", "true", code=2).stderr
    assert not list(ds.store.iterdir())


def test_an_empty_store_is_refused(ds: Cli) -> None:
    assert "--store is empty" in ds("run", "--store", "", "--", "true", code=2).stderr


def test_the_recorder_says_it_in_the_log_the_packet_and_the_list(ds: Cli, differing: str) -> None:
    events = [json.loads(line) for line in ds("events", differing).stdout.splitlines()]
    visible, reconciled, end = events[-3:]
    assert (visible["data"]["name"], visible["data"]["outcome"]) == ("visible", "pass")
    assert (reconciled["data"]["name"], reconciled["data"]["outcome"]) == ("reconciled", "fail")
    assert {visible["data"]["by"], reconciled["data"]["by"]} == {"durastream"}
    assert "src" not in visible
    (finding,) = end["data"]["findings"]
    assert (finding["code"], finding["severity"]) == ("answer-differs", "error")
    assert reconciled["data"]["findings"] == [finding]
    assert end["data"]["reconciled"] is False
    assert "completed !" in ds("list").stdout
    assert "not reconciled: 1 finding" in ds("show", differing).stdout


def test_strict_exits_with_120_when_a_good_end_does_not_reconcile(ds: Cli, differing: str) -> None:
    for view in ("none", "plain", "raw"):
        ds("run", "--strict", "--view", view, "--", "python3", "agent.py", code=120)
    ds("run", "--strict", "--view", "none", "--", "true", code=0)
    ds("run", "--strict", "--view", "none", "--", "sh", "-c", "python3 agent.py; exit 3", code=3)
    assert "not with --detach" in ds("run", "--strict", "-d", "--", "true", code=2).stderr


def test_rules_can_be_selected_and_ignored(ds: Cli, differing: str) -> None:
    ds("verify", differing, "--ignore", "answer-differs")
    ds("verify", differing, "--ignore", "reconcile")
    ds("verify", differing, "--select", "visibility,log")
    ds("verify", differing, "--select", "answer-differs", code=1)
    assert "no rule or family 'nothing'" in ds("verify", differing, "--select", "nothing", code=2).stderr
    assert "--severity grave: one of" in ds("verify", differing, "--severity", "grave", code=2).stderr
    assert "--max-silence soon: a time such as" in ds("verify", differing, "--max-silence", "soon", code=2).stderr


def test_budgets_are_options(ds: Cli) -> None:
    shutil.copy(DEMO, ds.folder)
    ds("verify", f"./{DEMO.name}", "--first-event", "2s", "--max-silence", "30s")
    done = ds("verify", f"./{DEMO.name}", "--first-event", "100ms", "--max-silence", "0.5s", "--json", code=1)
    report = json.loads(done.stdout)
    assert [each["code"] for each in report["findings"]] == ["first-event-late", "silence-long"]
    assert report["findings"][1]["seq"] is not None
    assert report["timing"]["first_event"] == pytest.approx(0.51, abs=0.01)
    assert report["timing"]["longest_silence"] > 0.5


def test_options_stand_in_a_file_here_or_above_and_tags_have_their_own(ds: Cli, differing: str) -> None:
    settings = ds.folder / "pyproject.toml"
    settings.write_text('[project]\nname = "x"\n', encoding="utf-8")
    ds("verify", differing, code=1)
    settings.write_text('[tool.durastream.verify]\nignore = ["answer-differs"]\n', encoding="utf-8")
    ds("verify", differing)
    below = ds.folder / "deep" / "er"
    below.mkdir(parents=True)
    ds("verify", differing, cwd=below)
    (below / "durastream.toml").write_text('[verify.tags."kind=nightly"]\nselect = ["log"]\n', encoding="utf-8")
    ds("verify", differing, cwd=below)
    (below / "durastream.toml").write_text('[verify.tags."kind=other"]\nselect = ["log"]\n', encoding="utf-8")
    ds("verify", differing, code=1, cwd=below)
    ds("verify", differing, "--ignore", "reconcile", cwd=below)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[verify\n", "is no TOML"),
        ("verify = 3\n", "[verify] is a table"),
        ('[verify]\nmax-silence = "soon"\n', "max-silence = 'soon': a time such as "),
        ("[verify]\nrequired-checks = 3\n", "required-checks = 3: a list of words"),
        ("[verify]\nunheard = 1\n", "there is no option 'unheard'"),
    ],
)
def test_a_file_of_options_that_is_off_is_named(ds: Cli, text: str, said: str) -> None:
    (ds.folder / "durastream.toml").write_text(text, encoding="utf-8")
    done = ds("verify", "anything", code=2)
    assert said in done.stderr
    assert "durastream.toml" in done.stderr


def test_junit_holds_a_suite_for_each_run_and_a_case_for_each_rule(ds: Cli, differing: str) -> None:
    shutil.copy(DEMO, ds.folder)
    ds("verify", differing, f"./{DEMO.name}", "--junit", "verify.xml", code=1)
    suites = list(ElementTree.parse(ds.folder / "verify.xml").getroot())
    assert [suite.get("name") for suite in suites] == [differing, DEMO.stem]
    assert [suite.get("failures") for suite in suites] == ["1", "0"]
    counted = [rule.code for rule in RULES.values() if rule.severity != "info" and rule.code not in UNASKED]
    assert [case.get("name") for case in suites[1]] == counted
    root = ElementTree.parse(ds.folder / "verify.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (str(2 * len(counted)), "1", "0")
    (failed,) = [case for case in suites[0] if len(case)]
    assert (failed.get("classname"), failed.get("name")) == ("reconcile", "answer-differs")
    assert RULES["answer-differs"].ask in (failed[0].text or "")


def test_junit_says_of_no_rule_that_it_held_unless_it_was_asked(ds: Cli) -> None:
    shutil.copy(DEMO, ds.folder)
    (ds.folder / "durastream.toml").write_text(
        '[verify]\nmax-silent-share = 1.0\nrequired-checks = ["every citation has a source"]\n', encoding="utf-8"
    )
    seal = ds.here("seal", str(DEMO)).stdout.strip()
    budgets = ("--first-event", "1h", "--max-silence", "1h", "--artifacts", "--seal", seal)
    ds("verify", f"./{DEMO.name}", *budgets, "--junit", "verify.xml", code=1)
    (suite,) = ElementTree.parse(ds.folder / "verify.xml").getroot()
    assert UNASKED - {case.get("name") for case in suite} == {"signature"}


def test_sarif_holds_the_rules_and_the_results(ds: Cli, differing: str) -> None:
    ds("verify", differing, "--sarif", "verify.sarif", code=1)
    report = json.loads((ds.folder / "verify.sarif").read_text(encoding="utf-8"))
    assert report["version"] == "2.1.0"
    (run,) = report["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("answer-differs", "error")
    assert rules[result["ruleIndex"]]["id"] == "answer-differs"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"recordings/{differing}.db"
    (logical,) = result["locations"][0]["logicalLocations"]
    assert re.fullmatch(rf"{differing}/\d+", logical["fullyQualifiedName"])
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_has_the_fields_of_its_schema_and_addresses_that_are_ones(ds: Cli, differing: str) -> None:
    (ds.folder / "my runs").mkdir()
    shutil.copy(ds.store / f"{differing}.db", ds.folder / "my runs" / "a run#1.db")
    (ds.folder / "other.jsonl").write_text("{}\n", encoding="utf-8")
    ds("verify", "my runs/a run#1.db", "./other.jsonl", "--sarif", "verify.sarif", code=3)
    report = json.loads((ds.folder / "verify.sarif").read_text(encoding="utf-8"))
    _check_fields(report, "log")
    (result,) = report["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20runs/a%20run%231.db"
    assert place["region"]["startLine"] >= 1


def _check_fields(value: object, kind: str) -> None:
    """Hold an object of SARIF against what its schema, which allows no others, has of the fields that we use."""
    if isinstance(value, list):
        for each in value:
            _check_fields(each, kind)
        return
    allowed, required = SARIF.get(kind, (set(), set()))
    if kind == "level":
        assert value in ("none", "note", "warning", "error")
    elif kind in SARIF:
        assert isinstance(value, dict)
        assert required <= set(value) <= allowed
        for name, each in value.items():
            _check_fields(each, KIND_OF.get(name, ""))


def test_many_runs_are_summed_up(ds: Cli, differing: str) -> None:
    shutil.copy(DEMO, ds.store)
    (ds.store / "foreign.jsonl").write_text("{}\n", encoding="utf-8")
    told = ds("verify", "--all", code=3)
    assert told.stderr.splitlines()[-1] == "durastream: 3 runs: 1 hold, 1 with findings, 1 cannot be read"
    assert "hold" not in ds("verify", "--all", "--json", code=3).stderr
    (ds.store / "foreign.jsonl").unlink()
    assert ds("verify", differing, DEMO.stem, code=1).stderr == "durastream: 2 runs: 1 hold, 1 with findings\n"


def test_a_seal_that_does_not_hold_names_the_file_to_verify(ds: Cli) -> None:
    broken = ds.folder / "broken.jsonl"
    broken.write_text(DEMO.read_text(encoding="utf-8").replace("Understand", "Misunderstand", 1), encoding="utf-8")
    said = ds("seal", "./broken.jsonl", code=3).stderr
    assert said.endswith(f": durastream verify {broken}\n")


def test_a_recording_that_cannot_be_read_is_an_error_in_every_report(ds: Cli) -> None:
    (ds.folder / "other.jsonl").write_text("{}\n", encoding="utf-8")
    ds("verify", "./other.jsonl", code=3)
    ds("verify", "./other.jsonl", "--junit", "v.xml", "--sarif", "v.sarif", code=3)
    (suite,) = ElementTree.parse(ds.folder / "v.xml").getroot()
    assert (suite.get("errors"), suite[0][0].tag) == ("1", "error")
    (run,) = json.loads((ds.folder / "v.sarif").read_text(encoding="utf-8"))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False


def test_rules_tells_the_catalogue_a_family_or_a_rule(ds: Cli) -> None:
    everything = ds("rules").stdout
    for code, rule in RULES.items():
        assert any(line.split()[:2] == [code, rule.severity] for line in everything.splitlines())
    assert "answer-differs" not in ds("rules", "log").stdout
    one = ds("rules", "source-late").stdout
    rule = RULES["source-late"]
    assert all(text in one for text in (rule.promise, rule.meaning, rule.ask, rule.example))
    assert [each["code"] for each in json.loads(ds("rules", "--json").stdout)] == list(RULES)
    assert "no rule 'source-early'" in ds("rules", "source-early", code=2).stderr
