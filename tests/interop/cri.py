"""A client of the Kubernetes Container Runtime Interface, version 1: gRPC through python3-grpcio, messages by a table.

MESSAGES holds the fields that the tests use: "number name type", type one of int (also bool and enum), str, bytes, map (string to
string) or another message; a star means repeated. Fields of a response that are not in the table are passed over.
"""
MESSAGES = {
    "RunPodSandboxRequest": "1 config PodSandboxConfig, 2 runtime_handler str",
    "RunPodSandboxResponse": "1 pod_sandbox_id str",
    "PodSandboxConfig": "1 metadata PodSandboxMetadata, 2 hostname str, 3 log_directory str, 6 labels map, 7 annotations map, 8 linux LinuxPodSandboxConfig",
    "PodSandboxMetadata": "1 name str, 2 uid str, 3 namespace str, 4 attempt int",
    "LinuxPodSandboxConfig": "1 cgroup_parent str, 2 security_context LinuxSandboxSecurityContext, 3 sysctls map",
    "LinuxSandboxSecurityContext": "1 namespace_options NamespaceOption, 3 run_as_user Int64Value, 4 readonly_rootfs int, 6 privileged int, 9 seccomp SecurityProfile",
    "NamespaceOption": "1 network int, 2 pid int, 3 ipc int, 4 target_id str",
    "Int64Value": "1 value int",
    "SecurityProfile": "1 profile_type int, 2 localhost_ref str",
    "PodSandboxStatusRequest": "1 pod_sandbox_id str, 2 verbose int",
    "PodSandboxStatusResponse": "1 status PodSandboxStatus, 2 info map",
    "PodSandboxStatus": "1 id str, 3 state int, 5 network PodSandboxNetworkStatus",
    "PodSandboxNetworkStatus": "1 ip str",
    "StopPodSandboxRequest": "1 pod_sandbox_id str",
    "RemovePodSandboxRequest": "1 pod_sandbox_id str",
    "ListPodSandboxRequest": "",
    "ListPodSandboxResponse": "1 items PodSandbox*",
    "PodSandbox": "1 id str, 3 state int",
    "ImageStatusRequest": "1 image ImageSpec",
    "ImageStatusResponse": "1 image Image",
    "Image": "1 id str, 2 repo_tags str*",
    "ImageSpec": "1 image str",
    "CreateContainerRequest": "1 pod_sandbox_id str, 2 config ContainerConfig, 3 sandbox_config PodSandboxConfig",
    "CreateContainerResponse": "1 container_id str",
    "ContainerConfig": "1 metadata ContainerMetadata, 2 image ImageSpec, 3 command str*, 4 args str*, 5 working_dir str, 6 envs KeyValue*, 7 mounts Mount*, "
                       "11 log_path str, 12 stdin int, 14 tty int, 15 linux LinuxContainerConfig",
    "ContainerMetadata": "1 name str, 2 attempt int",
    "KeyValue": "1 key str, 2 value str",
    "Mount": "1 container_path str, 2 host_path str, 3 readonly int, 5 propagation int",
    "LinuxContainerConfig": "1 resources LinuxContainerResources, 2 security_context LinuxContainerSecurityContext",
    "LinuxContainerResources": "1 cpu_period int, 2 cpu_quota int, 3 cpu_shares int, 4 memory_limit_in_bytes int, 5 oom_score_adj int, 6 cpuset_cpus str",
    "LinuxContainerSecurityContext": "1 capabilities Capability, 2 privileged int, 3 namespace_options NamespaceOption, 5 run_as_user Int64Value, 6 run_as_username str, "
                                     "7 readonly_rootfs int, 8 supplemental_groups int*, 11 no_new_privs int, 12 run_as_group Int64Value, 13 masked_paths str*, "
                                     "14 readonly_paths str*, 15 seccomp SecurityProfile",
    "Capability": "1 add_capabilities str*, 2 drop_capabilities str*",
    "StartContainerRequest": "1 container_id str",
    "StopContainerRequest": "1 container_id str, 2 timeout int",
    "RemoveContainerRequest": "1 container_id str",
    "ListContainersRequest": "",
    "ListContainersResponse": "1 containers Container*",
    "Container": "1 id str, 2 pod_sandbox_id str, 6 state int",
    "ContainerStatusRequest": "1 container_id str, 2 verbose int",
    "ContainerStatusResponse": "1 status ContainerStatus, 2 info map",
    "ContainerStatus": "1 id str, 3 state int, 7 exit_code int, 10 reason str, 11 message str",
    "UpdateContainerResourcesRequest": "1 container_id str, 2 linux LinuxContainerResources",
    "ExecSyncRequest": "1 container_id str, 2 cmd str*, 3 timeout int",
    "ExecSyncResponse": "1 stdout bytes, 2 stderr bytes, 3 exit_code int",
    "ContainerStatsRequest": "1 container_id str",
    "ContainerStatsResponse": "1 stats ContainerStats",
    "ContainerStats": "2 cpu CpuUsage, 3 memory MemoryUsage",
    "CpuUsage": "1 timestamp int, 2 usage_core_nano_seconds Int64Value",
    "MemoryUsage": "1 timestamp int, 2 working_set_bytes Int64Value, 4 usage_bytes Int64Value",
    "StatusRequest": "",
    "StatusResponse": "1 status RuntimeStatus",
    "RuntimeStatus": "1 conditions RuntimeCondition*",
    "RuntimeCondition": "1 type str, 2 status int, 3 reason str, 4 message str",
}
POD, CONTAINER, NODE, TARGET = range(4)  # NamespaceMode
READY, NOT_READY = range(2)  # PodSandboxState
CREATED, RUNNING, EXITED, UNKNOWN = range(4)  # ContainerState
RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = range(3)  # SecurityProfile.ProfileType
PRIVATE, HOST_TO_CONTAINER, BIDIRECTIONAL = range(3)  # MountPropagation


def fields(message):
    """(number, name, type, repeated) of each field."""
    for line in filter(None, MESSAGES[message].split(", ")):
        number, name, kind = line.split()
        yield int(number), name, kind.rstrip("*"), kind.endswith("*")


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(message, values):
    out = b""
    known = {name: (number, kind, many) for number, name, kind, many in fields(message)}
    for name, value in values.items():
        number, kind, many = known[name]
        if kind == "map":
            value, many = [pair(k, v) for k, v in value.items()], True
        for v in value if many else [value]:
            if kind == "int":
                out += varint(number << 3) + varint(int(v))
            else:
                body = v.encode() if isinstance(v, str) else v if isinstance(v, bytes) else encode(kind, v)
                out += varint(number << 3 | 2) + varint(len(body)) + body
    return out


def pair(key, value):
    return encode("KeyValue", {"key": key, "value": value})


def take_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return n, at


def decode(message, data):
    """Every field of the table is there: 0, "", [] or {} when the message does not have it."""
    known = {number: (name, kind, many) for number, name, kind, many in fields(message)}
    none = {"int": 0, "str": "", "bytes": b""}
    out = {name: [] if many else none[kind] if kind in none else {} for name, kind, many in known.values()}
    at = 0
    while at < len(data):
        tag, at = take_varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = take_varint(data, at)
            value -= value >> 63 << 64
        elif wire == 2:
            size, at = take_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[wire]
            value, at = data[at:at + size], at + size
        if tag >> 3 not in known:
            continue
        name, kind, many = known[tag >> 3]
        if kind == "map":
            entry = decode("KeyValue", value)
            out[name][entry["key"]] = entry["value"]
            continue
        if kind == "str":
            value = value.decode(errors="replace")
        elif kind not in ("int", "bytes"):
            value = decode(kind, value)
        if many:
            out[name].append(value)
        else:
            out[name] = value
    return out


class Client:
    def __init__(self, address):
        import grpc
        self.Error = grpc.RpcError
        self.channel = grpc.insecure_channel("unix:" + address)

    def __call__(self, verb, _timeout=30, **values):
        service = "ImageService" if verb.startswith("Image") else "RuntimeService"
        method = self.channel.unary_unary(f"/runtime.v1.{service}/{verb}")
        reply = method(encode(verb + "Request", values), timeout=_timeout, wait_for_ready=True)
        return decode(verb + "Response", reply) if verb + "Response" in MESSAGES else None

    def close(self):
        self.channel.close()
