"""`hydratron reproduce`: a figure or table of the paper, from its runs to a verdict."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hydratron.cli.parser import USAGE_ERROR, Parser, complain, positive
from hydratron.job import SIGNALLED

if TYPE_CHECKING:
    from hydratron.reproduce.catalog import Artifact, Profile
    from hydratron.reproduce.figure import Analysis
    from hydratron.reproduce.stages import PlannedStage

ABOUT = (
    "Run a figure or table of the paper at one scale and judge its claims.  Jobs that finished "
    "before are skipped.  Results: experiments/NAME/results/PROFILE/."
)

# Of several jobs at a time.
JOBLIB, PACKAGE = "hydra_plugins.hydra_joblib_launcher", "hydra-joblib-launcher"
LAUNCHER = "hydra/launcher=joblib hydra.launcher.n_jobs={}"


def build_parser() -> Parser:
    parser = Parser(prog="hydratron reproduce", description=ABOUT)
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="an artifact: fig6, tp_equivalence, ...")
    add("--profile", metavar="P", help="its scale: smoke, small, long, cpu, gpu or paper")
    add("--list", action="store_true", help="artifacts, profiles, jobs and minutes")
    add("--jobs", type=positive, default=1, metavar="N", help="at a time (1); more need joblib")
    add(
        "--carry-out", type=Path, metavar="DIR", help="write the jobs, to run without Hydra and W&B"
    )
    add("--carry-back", type=Path, metavar="DIR", help="take outcomes from it, or from a FILE")
    add("--pack", type=Path, metavar="FILE", help="write the outcomes so far as a .tar.xz")
    add("--analyze-only", action="store_true", help="everything again from curves.csv")
    return parser


def run(argv: Sequence[str]) -> int:
    """0 whatever the verdicts say; 1 for a missing run or a machine that cannot run it."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.jobs > 1 and find_spec(JOBLIB) is None:
        parser.error(f"--jobs {args.jobs}: needs Hydra's launcher: pip install {PACKAGE}")
    if not args.list and not (args.name and args.profile):
        parser.error("NAME and --profile are needed, or --list")
    from hydratron.reproduce.catalog import artifacts, experiments_dir, find

    folder = experiments_dir()
    known = artifacts(folder)
    if args.list:
        return _list([find(args.name, known)] if args.name else known)
    artifact = find(args.name, known)
    profile = artifact.profile(args.profile)
    if args.analyze_only:
        return _conclude(folder, known, artifact, profile, None)
    from hydratron.reproduce.stages import plan_stages

    planned = plan_stages(artifact, profile)
    if args.carry_out:
        return _carry_out(artifact, profile, planned, args.carry_out)
    if args.pack:
        from hydratron.reproduce.carry import pack

        count = pack(planned, args.pack)
        print(f"{artifact.name}, {profile.name}: {count} outcomes are in {args.pack}")
        return 0
    if args.carry_back:
        from hydratron.reproduce.carry import carry_back

        new = carry_back(planned, args.carry_back)
        print(f"{artifact.name}, {profile.name}: {new} outcomes taken from {args.carry_back}")
        planned = plan_stages(artifact, profile)
        return _missing(planned) or _conclude(folder, known, artifact, profile, planned)
    code = _run_jobs(artifact, profile, planned, args.jobs)
    # Jobs that start from others can be planned once those are there.
    while not code and any(stage.waiting for stage in planned):
        before, planned = planned, plan_stages(artifact, profile)
        pairs = zip(before, planned, strict=True)
        more = [now for then, now in pairs if len(now.waiting) < len(then.waiting)]
        if not more:
            break
        code = _run_jobs(artifact, profile, more, args.jobs)
    return code or _missing(planned) or _conclude(folder, known, artifact, profile, planned)


def _list(known: Sequence[Artifact]) -> int:
    from hydratron.errors import HydratronError
    from hydratron.reproduce.stages import plan_stages

    for artifact in known:
        print(f"{artifact.name}: {artifact.title}")
        for profile in artifact.profiles.values():
            try:
                said = _expected(plan_stages(artifact, profile))
            except HydratronError as error:
                said = str(error).splitlines()[0]
            print(f"  {profile.name:6} {said}; {profile.about}")
    return 0


def _expected(planned: Sequence[PlannedStage]) -> str:
    """`9 jobs, about 62 minutes`, or what is left of them."""
    from hydratron.reproduce.stages import unfinished

    jobs, left = sum(stage.count for stage in planned), len(unfinished(planned))
    what = "jobs and evaluations" if any(stage.scored for stage in planned) else "jobs"
    if any(stage.pairings for stage in planned):
        what = "pairings"
    more = sum(len(stage.waiting) for stage in planned)
    left -= more
    text = f"{jobs} {what}" if left == jobs else f"{left} of {jobs} {what} left"
    if more:
        text += ", and those that start from them"
    minutes = [stage.minutes for stage in planned]
    known = [m for m in minutes if m is not None]
    if len(known) < len(minutes):
        return f"{text}, time not measured"
    return f"{text}, about {sum(known):.0f} min"


def _run_jobs(
    artifact: Artifact, profile: Profile, planned: Sequence[PlannedStage], at_once: int
) -> int:
    from hydratron.cli import evaluate, plan, train
    from hydratron.reproduce.catalog import EVALUATE, PLAN, TRAIN
    from hydratron.reproduce.stages import commands, lacking, run_stages

    print(f"{artifact.name}, {profile.name}: {_expected(planned)}", flush=True)
    missing = lacking(profile)
    if missing:
        for stage in planned:
            print("\n".join(commands(artifact, profile, stage)))
        complain(f"profile {profile.name} cannot run here, it needs {' and '.join(missing)}")
        return 1
    verbs = {TRAIN: train.run, PLAN: plan.run, EVALUATE: evaluate.run}
    launcher = LAUNCHER.format(at_once).split() if at_once > 1 else []
    return run_stages(planned, verbs, _stops, launcher)


def _missing(planned: Sequence[PlannedStage]) -> int:
    """Say which jobs have no outcome; 1 if any."""
    from hydratron.reproduce.stages import unfinished

    left = unfinished(planned)
    complain(*left, *["no results: not every job has run"] * bool(left))
    return 1 if left else 0


def _carry_out(
    artifact: Artifact, profile: Profile, planned: Sequence[PlannedStage], folder: Path
) -> int:
    """Write what is to run elsewhere, and say how it runs there and how it comes back."""
    from hydratron.reproduce.carry import carry_out
    from hydratron.reproduce.stages import lacking_files

    missing = lacking_files(profile)
    if missing:
        complain(f"profile {profile.name} needs {' and '.join(missing)}")
        return 1
    if any(stage.pairings for stage in planned):
        complain(f"--carry-out: {artifact.name} is measured where its peers are, not carried")
        return 1
    jobs = carry_out(planned, folder)
    place = shlex.quote(str(folder))
    print(
        f"{len(jobs)} jobs and their tokens are in {folder}. Where torch and lightning are:\n"
        f"  PYTHONPATH=src python -m hydratron.launch.batch {place} --minutes 9\n"
        "as often as it says that jobs are left; then, with the folder back here:\n"
        f"  hydratron reproduce {artifact.name} --profile {profile.name} --carry-back {place}"
    )
    return 0


def _stops(code: int) -> bool:
    """Whether a sweep's exit code ends the profile: a mistake or a signal, not a failed job."""
    return code == USAGE_ERROR or code > SIGNALLED


def _conclude(
    folder: Path,
    known: Sequence[Artifact],
    artifact: Artifact,
    profile: Profile,
    planned: Sequence[PlannedStage] | None,
) -> int:
    """Results from the planned jobs, or without them again from those that are committed."""
    from hydratron.reproduce.claims import write_pages
    from hydratron.reproduce.measured import Measured
    from hydratron.reproduce.results import Source, Trained, publish

    source: Source | None = None
    if planned is not None:
        from hydratron.reporting.records import read_run
        from hydratron.reproduce.scores import with_scores

        jobs = [job for stage in planned for job in stage.jobs]
        tasks = [one for stage in planned for one in stage.scored]
        command = f"hydratron reproduce {artifact.name} --profile {profile.name}"
        pairs = [one for stage in planned for one in stage.pairings]
        source = Trained(with_scores(map(read_run, jobs), tasks), command)
        if pairs:
            source = Measured(pairs, command)
    analysis = publish(artifact, profile, source)
    write_pages(folder, known)
    show(analysis, artifact.results(profile.name))
    return 0


def show(analysis: Analysis, results: Path) -> None:
    """Verdicts with their details, notes, and last the paths of the figure."""
    from hydratron.reproduce.results import PAGE, effect

    print()
    for verdict in analysis.verdicts:
        print(f"{verdict.status} ({verdict.aspect}): {verdict.claim.claim}: {effect(verdict)}")
        for detail in verdict.details:
            print(f"  {detail}")
    for note in analysis.notes:
        print(note)
    for name in analysis.figures:
        print(results / f"{name}.svg")
    print(results / PAGE)
