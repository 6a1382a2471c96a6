"""The `cluster:` section: kinds from a fixed list, and nothing in it that could be run."""

import pytest
from pydantic import ValidationError

from nepcube import recipe as recipes
from nepcube.errors import RecipeError
from nepcube.recipe.clusters import Coiled, Kubernetes, Slurm

SLURM = {"kind": "slurm", "workers": 8, "cores": 4, "memory": "16GiB", "walltime": "02:00:00"}
KUBERNETES = {"kind": "kubernetes", "workers": 4, "cores": 2, "memory": "8GiB", "image": "ghcr.io/me/nepcube:1.0"}
COILED = {"kind": "coiled", "workers": 10, "memory": "16GiB", "region": "us-west-2"}


@pytest.fixture
def load(write_recipe):
    return lambda section: recipes.load_recipe(write_recipe(cluster=section))


@pytest.mark.parametrize(
    "section",
    [
        SLURM,
        SLURM | {"queue": "normal", "account": "abc-123", "local_directory": "/scratch/me", "interface": "ib0"},
        SLURM | {"walltime": "2-00:00:00"},
        KUBERNETES,
        KUBERNETES | {"namespace": "carbon", "name": "atlas", "image": "me/nepcube@sha256:" + 64 * "0"},
        COILED,
        COILED | {"workspace": "lab", "software": "nepcube-1"},
    ],
)
def test_what_is_taken(load, section):
    found = load(section).cluster.model_dump(exclude_none=True)
    assert {key: found[key] for key in section} == section


def test_it_is_in_no_fingerprint(load, write_recipe):
    plain = recipes.load_recipe(write_recipe())
    for stage in recipes.STAGES:
        assert recipes.stage_part(load(SLURM), stage) == recipes.stage_part(plain, stage)


def test_it_comes_back_from_the_resolved_recipe(load, tmp_path):
    file = tmp_path / "resolved.yaml"
    file.write_text(recipes.dump_recipe(load(KUBERNETES)))
    assert recipes.load_recipe(file).cluster == load(KUBERNETES).cluster


@pytest.mark.parametrize("kind", ["os.system", "pbs", "dask_jobqueue.SLURMCluster", "", None, 3, ["slurm"]])
def test_another_kind_is_refused(load, kind):
    with pytest.raises(RecipeError, match=r"cluster: `kind` must be slurm, kubernetes or coiled"):
        load(SLURM | {"kind": kind})


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (SLURM, "job_extra_directives"),
        (SLURM, "job_script_prologue"),
        (SLURM, "worker_extra_args"),
        (SLURM, "env_extra"),
        (SLURM, "python"),
        (SLURM, "job_cls"),
        (SLURM, "image"),
        (KUBERNETES, "env"),
        (KUBERNETES, "custom_cluster_spec"),
        (KUBERNETES, "worker_command"),
        (KUBERNETES, "queue"),
        (COILED, "environ"),
        (COILED, "container"),
        (COILED, "backend_options"),
    ],
)
def test_no_other_option_is_taken(load, section, key):
    with pytest.raises(RecipeError, match=rf"cluster\.{key}: not a recipe key"):
        load(section | {key: "x"})


NASTY = [
    "a b",
    "a\nb",
    "a\n",
    "-a",
    "$(id)",
    "`id`",
    "a;b",
    "a&b",
    "a|b",
    "a'b",
    'a"b',
    "a>b",
    "~",
    "",
    "a\\b",
    "x" * 300,
]


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (SLURM, "queue"),
        (SLURM, "account"),
        (SLURM, "local_directory"),
        (SLURM, "interface"),
        (SLURM, "walltime"),
        (SLURM, "memory"),
        (KUBERNETES, "image"),
        (KUBERNETES, "namespace"),
        (KUBERNETES, "name"),
        (COILED, "region"),
        (COILED, "workspace"),
        (COILED, "software"),
        (COILED, "name"),
    ],
)
def test_no_text_reaches_a_shell(load, section, key):
    with pytest.raises(RecipeError, match=rf"cluster\.{key}"):
        load(section | {key: "a; id"})
    model = {"slurm": Slurm, "kubernetes": Kubernetes, "coiled": Coiled}[section["kind"]]
    assert model.model_validate(section)
    for value in NASTY:
        with pytest.raises(ValidationError, match=key):
            model.model_validate(section | {key: value})


@pytest.mark.parametrize("path", ["scratch", "/scratch/../etc", "/scratch/$USER", "/scratch //x", "//", "/-rf"])
def test_a_folder_of_workers_is_a_plain_absolute_one(load, path):
    with pytest.raises(RecipeError, match=r"cluster\.local_directory"):
        load(SLURM | {"local_directory": path})


@pytest.mark.parametrize(("key", "value"), [("workers", 0), ("workers", 100_000), ("cores", 0), ("memory", "0GiB")])
def test_numbers_have_bounds(load, key, value):
    with pytest.raises(RecipeError, match=rf"cluster\.{key}"):
        load(SLURM | {key: value})


@pytest.mark.parametrize(("section", "model"), [(SLURM, Slurm), (KUBERNETES, Kubernetes), (COILED, Coiled)])
def test_the_keys_of_the_named_kind_alone_are_told(load, section, model):
    with pytest.raises(RecipeError) as told:
        load({**section, "nonsense": 1})
    assert told.value.way_out == f"Remove it. Keys here: {', '.join(model.model_fields)}."
