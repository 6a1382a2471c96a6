"""What a recipe may say of a cluster: a kind from a fixed list, and options that can be nothing but what they are.

A stranger's recipe must not run anything of its choosing: no class, no line of shell, no free text reaches a job's
script or a container's specification.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

_Word = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

Name = Annotated[str, Field(pattern=_Word)]
#: a name of Kubernetes: lower case, no dots
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
#: registry/path/image:tag or @sha256:digest
Image = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,200}(@sha256:[0-9a-f]{64})?$"),
]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}(MB|MiB|GB|GiB)$")]
#: hours:minutes:seconds, or days-hours:minutes:seconds
Walltime = Annotated[str, Field(pattern=r"^([0-9]{1,2}-)?[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]$")]
Folder = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}){1,16}$")]
Device = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,14}$")]
Count = Annotated[int, Field(ge=1, le=10_000)]
Cores = Annotated[int, Field(ge=1, le=1024)]


class _Cluster(BaseModel):
    """Workers that are asked for when a run begins, and given back when it ends."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    workers: Count
    cores: Cores = 1
    memory: Size


class Slurm(_Cluster):
    """Jobs of SLURM, through dask-jobqueue."""

    kind: Literal["slurm"]
    walltime: Walltime
    queue: Name | None = None
    account: Name | None = None
    local_directory: Folder | None = None
    interface: Device | None = None


class Kubernetes(_Cluster):
    """Pods of the Dask operator, through dask-kubernetes."""

    kind: Literal["kubernetes"]
    image: Image
    name: Label = "nepcube"
    namespace: Label = "default"


class Coiled(_Cluster):
    """Machines of Coiled."""

    kind: Literal["coiled"]
    name: Name = "nepcube"
    region: Name | None = None
    workspace: Name | None = None
    software: Name | None = None


def _kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"#{kind}" if isinstance(kind, str) else None


ClusterSection = Annotated[
    Annotated[Slurm, Tag("#slurm")] | Annotated[Kubernetes, Tag("#kubernetes")] | Annotated[Coiled, Tag("#coiled")],
    Discriminator(
        _kind,
        custom_error_type="cluster_kind",
        custom_error_message="`kind` must be slurm, kubernetes or coiled",
    ),
]
