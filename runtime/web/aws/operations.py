"""Lambda's operations: how a request says which one it asks for.

The table is AWS's own (botocore, `lambda/2015-03-31/service-2.json`), and whole: what is not
supported is refused by its name.
"""

import functools
import re
from typing import NamedTuple

# Name, method, and path as AWS's model has them.
_TABLE = """
InvokeAsync POST /2014-11-13/functions/{FunctionName}/invoke-async
ListEventSourceMappings GET /2015-03-31/event-source-mappings
CreateEventSourceMapping POST /2015-03-31/event-source-mappings
DeleteEventSourceMapping DELETE /2015-03-31/event-source-mappings/{UUID}
GetEventSourceMapping GET /2015-03-31/event-source-mappings/{UUID}
UpdateEventSourceMapping PUT /2015-03-31/event-source-mappings/{UUID}
ListFunctions GET /2015-03-31/functions
CreateFunction POST /2015-03-31/functions
DeleteFunction DELETE /2015-03-31/functions/{FunctionName}
GetFunction GET /2015-03-31/functions/{FunctionName}
ListAliases GET /2015-03-31/functions/{FunctionName}/aliases
CreateAlias POST /2015-03-31/functions/{FunctionName}/aliases
DeleteAlias DELETE /2015-03-31/functions/{FunctionName}/aliases/{Name}
GetAlias GET /2015-03-31/functions/{FunctionName}/aliases/{Name}
UpdateAlias PUT /2015-03-31/functions/{FunctionName}/aliases/{Name}
UpdateFunctionCode PUT /2015-03-31/functions/{FunctionName}/code
GetFunctionConfiguration GET /2015-03-31/functions/{FunctionName}/configuration
UpdateFunctionConfiguration PUT /2015-03-31/functions/{FunctionName}/configuration
Invoke POST /2015-03-31/functions/{FunctionName}/invocations
GetPolicy GET /2015-03-31/functions/{FunctionName}/policy
AddPermission POST /2015-03-31/functions/{FunctionName}/policy
RemovePermission DELETE /2015-03-31/functions/{FunctionName}/policy/{StatementId}
ListVersionsByFunction GET /2015-03-31/functions/{FunctionName}/versions
PublishVersion POST /2015-03-31/functions/{FunctionName}/versions
GetAccountSettings GET /2016-08-19/account-settings
UntagResource DELETE /2017-03-31/tags/{Resource}
ListTags GET /2017-03-31/tags/{Resource}
TagResource POST /2017-03-31/tags/{Resource}
DeleteFunctionConcurrency DELETE /2017-10-31/functions/{FunctionName}/concurrency
PutFunctionConcurrency PUT /2017-10-31/functions/{FunctionName}/concurrency
ListLayers GET /2018-10-31/layers
ListLayerVersions GET /2018-10-31/layers/{LayerName}/versions
PublishLayerVersion POST /2018-10-31/layers/{LayerName}/versions
DeleteLayerVersion DELETE /2018-10-31/layers/{LayerName}/versions/{VersionNumber}
GetLayerVersion GET /2018-10-31/layers/{LayerName}/versions/{VersionNumber}
GetLayerVersionPolicy GET /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy
AddLayerVersionPermission POST /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy
RemoveLayerVersionPermission DELETE /2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}
GetLayerVersionByArn GET /2018-10-31/layers?find=LayerVersion
DeleteFunctionEventInvokeConfig DELETE /2019-09-25/functions/{FunctionName}/event-invoke-config
GetFunctionEventInvokeConfig GET /2019-09-25/functions/{FunctionName}/event-invoke-config
UpdateFunctionEventInvokeConfig POST /2019-09-25/functions/{FunctionName}/event-invoke-config
PutFunctionEventInvokeConfig PUT /2019-09-25/functions/{FunctionName}/event-invoke-config
ListFunctionEventInvokeConfigs GET /2019-09-25/functions/{FunctionName}/event-invoke-config/list
GetFunctionConcurrency GET /2019-09-30/functions/{FunctionName}/concurrency
DeleteProvisionedConcurrencyConfig DELETE /2019-09-30/functions/{FunctionName}/provisioned-concurrency
GetProvisionedConcurrencyConfig GET /2019-09-30/functions/{FunctionName}/provisioned-concurrency
PutProvisionedConcurrencyConfig PUT /2019-09-30/functions/{FunctionName}/provisioned-concurrency
ListProvisionedConcurrencyConfigs GET /2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL
ListCodeSigningConfigs GET /2020-04-22/code-signing-configs
CreateCodeSigningConfig POST /2020-04-22/code-signing-configs
DeleteCodeSigningConfig DELETE /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
GetCodeSigningConfig GET /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
UpdateCodeSigningConfig PUT /2020-04-22/code-signing-configs/{CodeSigningConfigArn}
ListFunctionsByCodeSigningConfig GET /2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions
DeleteFunctionCodeSigningConfig DELETE /2020-06-30/functions/{FunctionName}/code-signing-config
GetFunctionCodeSigningConfig GET /2020-06-30/functions/{FunctionName}/code-signing-config
PutFunctionCodeSigningConfig PUT /2020-06-30/functions/{FunctionName}/code-signing-config
GetRuntimeManagementConfig GET /2021-07-20/functions/{FunctionName}/runtime-management-config
PutRuntimeManagementConfig PUT /2021-07-20/functions/{FunctionName}/runtime-management-config
DeleteFunctionUrlConfig DELETE /2021-10-31/functions/{FunctionName}/url
GetFunctionUrlConfig GET /2021-10-31/functions/{FunctionName}/url
CreateFunctionUrlConfig POST /2021-10-31/functions/{FunctionName}/url
UpdateFunctionUrlConfig PUT /2021-10-31/functions/{FunctionName}/url
ListFunctionUrlConfigs GET /2021-10-31/functions/{FunctionName}/urls
InvokeWithResponseStream POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations
GetFunctionRecursionConfig GET /2024-08-31/functions/{FunctionName}/recursion-config
PutFunctionRecursionConfig PUT /2024-08-31/functions/{FunctionName}/recursion-config
ListCapacityProviders GET /2025-11-30/capacity-providers
CreateCapacityProvider POST /2025-11-30/capacity-providers
DeleteCapacityProvider DELETE /2025-11-30/capacity-providers/{CapacityProviderName}
GetCapacityProvider GET /2025-11-30/capacity-providers/{CapacityProviderName}
UpdateCapacityProvider PUT /2025-11-30/capacity-providers/{CapacityProviderName}
ListFunctionVersionsByCapacityProvider GET /2025-11-30/capacity-providers/{CapacityProviderName}/function-versions
GetFunctionScalingConfig GET /2025-11-30/functions/{FunctionName}/function-scaling-config
PutFunctionScalingConfig PUT /2025-11-30/functions/{FunctionName}/function-scaling-config
SendDurableExecutionCallbackFailure POST /2025-12-01/durable-execution-callbacks/{CallbackId}/fail
SendDurableExecutionCallbackHeartbeat POST /2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat
SendDurableExecutionCallbackSuccess POST /2025-12-01/durable-execution-callbacks/{CallbackId}/succeed
DeleteDurableExecution DELETE /2025-12-01/durable-executions/{DurableExecutionArn}
GetDurableExecution GET /2025-12-01/durable-executions/{DurableExecutionArn}
CheckpointDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint
GetDurableExecutionHistory GET /2025-12-01/durable-executions/{DurableExecutionArn}/history
PauseDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/pause
ResumeDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/resume
GetDurableExecutionState GET /2025-12-01/durable-executions/{DurableExecutionArn}/state
StopDurableExecution POST /2025-12-01/durable-executions/{DurableExecutionArn}/stop
ListDurableExecutionsByFunction GET /2025-12-01/functions/{FunctionName}/durable-executions
DeleteResourcePolicy DELETE /2026-07-09/resource-policy/{ResourceArn}
GetResourcePolicy GET /2026-07-09/resource-policy/{ResourceArn}
PutResourcePolicy PUT /2026-07-09/resource-policy/{ResourceArn}
"""  # noqa: E501  one line each
_PARAMETER = re.compile(r"\{(\w+)\}")
# Their values are ARNs, which may have slashes in them.
_WITH_SLASHES = ("Arn", "Resource")


class Operation(NamedTuple):
    """One operation of the API. `path` has its parameters in braces, as AWS writes them."""

    name: str
    method: str
    path: str
    query: str
    pattern: re.Pattern[str]


class Asked(NamedTuple):
    """What a request asks for: the operation, and the parameters in its path."""

    operation: Operation
    parameters: dict[str, str]


def _read_table() -> tuple[Operation, ...]:
    operations = []
    for line in _TABLE.split("\n"):
        if not line:
            continue
        name, method, uri = line.split(" ")
        path, _, query = uri.partition("?")
        operations.append(Operation(name, method, path, query, _pattern(path)))
    # What also says something in its query, or has more words in its path, goes first.
    return tuple(sorted(operations, key=lambda one: (bool(one.query), len(one.path)), reverse=True))


def _pattern(path: str) -> re.Pattern[str]:
    def group(found: re.Match[str]) -> str:
        characters = ".+" if found[1].endswith(_WITH_SLASHES) else "[^/]+"
        return f"(?P<{found[1]}>{characters})"

    return re.compile(_PARAMETER.sub(group, path) + "/?")


OPERATIONS = _read_table()


@functools.lru_cache(maxsize=1000)
def find(method: str, path: str, query: str) -> Asked | None:
    """Return what a request asks for; None if it is no operation of Lambda's."""
    for operation in OPERATIONS:
        if operation.method != method or operation.query not in ("", *query.split("&")):
            continue
        found = operation.pattern.fullmatch(path)
        if found is not None:
            return Asked(operation, found.groupdict())
    return None


def methods_of(path: str) -> list[str]:
    """Return the methods that there are for a path."""
    return sorted({one.method for one in OPERATIONS if one.pattern.fullmatch(path)})
