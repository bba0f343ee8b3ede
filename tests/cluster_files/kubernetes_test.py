"""cluster/kubernetes: the manifests parse and are linted, and what they name fits together: the program's options, the
image's files and user, ports, volumes.

usage: kubernetes_test.py ROOT PROGRAM
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from findings import SKIP, Findings, want_command_line

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(SKIP)

PREFIX = "/opt/athanor"
# spec.* of the operator's MPIJob, as its public definition (kubeflow.org/v2beta1) names them.
SPEC = {"slotsPerWorker", "launcherCreationPolicy", "runPolicy", "mpiReplicaSpecs", "sshAuthMountPath",
        "mpiImplementation", "runLauncherAsWorker"}
RUN_POLICY = {"cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "schedulingPolicy",
              "suspend", "managedBy"}
REPLICA = {"replicas", "template", "restartPolicy"}


def setting(text, name):
    found = re.search(rf"^\s*{name} +(\S+)$", text, re.MULTILINE)
    return found.group(1) if found else None


def words_of(dockerfile, instruction):
    return " ".join(re.findall(rf"^{instruction} (.*(?:\\\n.*)*)", dockerfile, re.MULTILINE))


def check_container(findings, container, pod, claims, user):
    place = container["name"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        findings.want(mount["name"] in volumes, f"{place}: there is no volume {mount['name']}")
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        findings.want(claim is None or claim in claims, f"{place}: there is no claim {claim}")
    security = pod["securityContext"]
    findings.want(security["runAsNonRoot"] and str(security["runAsUser"]) == user,
                  f"{place}: runs as {security['runAsUser']}, the image's user is {user}")
    findings.want({"cpu", "memory"} <= set(container["resources"]["limits"]), f"{place}: has no limits")


def check_job(findings, job, claims, root, program):
    folder = root / "cluster/kubernetes"
    server, client = (folder / "sshd_config").read_text(), (folder / "ssh_config").read_text()
    dockerfile = (root / "cluster/container/Dockerfile").read_text(encoding="utf-8")
    spec = job["spec"]
    findings.want(set(spec) <= SPEC, f"unknown in spec: {set(spec) - SPEC}")
    findings.want(set(spec["runPolicy"]) <= RUN_POLICY, f"unknown in runPolicy: {set(spec['runPolicy']) - RUN_POLICY}")
    findings.want(set(spec["mpiReplicaSpecs"]) == {"Launcher", "Worker"}, "want a Launcher and Workers")
    user = re.search(r"--uid (\d+)", dockerfile).group(1)
    pods = {}
    for kind, replica in spec["mpiReplicaSpecs"].items():
        findings.want(set(replica) <= REPLICA, f"unknown in {kind}: {set(replica) - REPLICA}")
        findings.want(replica["restartPolicy"] == "OnFailure", f"{kind}: would not be started again")
        pods[kind] = replica["template"]["spec"]
        check_container(findings, pods[kind]["containers"][0], pods[kind], claims, user)
    launcher, worker = (pods[kind]["containers"][0] for kind in ("Launcher", "Worker"))
    findings.want(launcher["image"] == worker["image"], "launcher and workers are different images")

    command = launcher["command"]
    at = command.index(f"{PREFIX}/bin/athanor")
    want_command_line(findings, command[at + 1:], program, root, PREFIX, "launcher")
    run = command[command.index("--run") + 1]
    for container in (launcher, worker):
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        findings.want(any(run.startswith(mount + "/") for mount in mounts), f"{container['name']}: {run} is not kept")
    grace = int(command[command.index("odls_base_sigkill_timeout") + 1])
    findings.want(pods["Launcher"]["terminationGracePeriodSeconds"] > grace, "the pod ends before mpirun's ranks have saved")

    config = worker["command"][worker["command"].index("-f") + 1]
    findings.want(f"sshd_config {config}" in words_of(dockerfile, "COPY"), f"the image has no {config}")
    findings.want("ssh_config.d/" in words_of(dockerfile, "COPY"), "the image has no settings for ssh")
    ports = {setting(server, "Port"), setting(client, "Port"), str(worker["readinessProbe"]["tcpSocket"]["port"])}
    findings.want(len(ports) == 1, f"ports differ: {ports}")
    findings.want(setting(server, "HostKey") == f"{spec['sshAuthMountPath']}/id_rsa", "the server's key is not the mounted one")
    home = re.search(r"--home-dir (\S+)", dockerfile).group(1)
    findings.want(spec["sshAuthMountPath"] == f"{home}/.ssh", "the keys are not mounted where the image's ssh looks")

    recipe = yaml.safe_load((root / command[at + 2][len(PREFIX):].removeprefix("/share/athanor/")).read_text())
    ranks = spec["slotsPerWorker"] * spec["mpiReplicaSpecs"]["Worker"]["replicas"]
    findings.want(ranks <= recipe["train"]["shards"], f"{ranks} ranks, but the recipe has {recipe['train']['shards']} shards")


def main():
    root, program = Path(sys.argv[1]), sys.argv[2]
    findings = Findings()
    folder = root / "cluster/kubernetes"
    manifest = folder / "mpijob.yaml"
    documents = list(yaml.safe_load_all(manifest.read_text(encoding="utf-8")))
    claims = {document["metadata"]["name"] for document in documents if document["kind"] == "PersistentVolumeClaim"}
    jobs = [document for document in documents if document["apiVersion"] == "kubeflow.org/v2beta1"]
    findings.want([job["kind"] for job in jobs] == ["MPIJob"], "want one MPIJob")
    for job in jobs:
        check_job(findings, job, claims, root, program)
    if shutil.which("yamllint"):
        linted = subprocess.run(["yamllint", "--strict", "-c", folder / ".yamllint", manifest], capture_output=True, text=True)
        findings.want(linted.returncode == 0, linted.stdout)
    findings.end()


if __name__ == "__main__":
    main()
