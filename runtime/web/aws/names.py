"""Names of functions as AWS knows them: short, partial or whole ARNs, and qualifiers.

There is one version of each function, `$LATEST`, and there are no aliases. Account and region are
whatever the caller signs with: signatures are not checked.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.function import Function
from runtime.lambda_context import DEFAULT_ACCOUNT, DEFAULT_REGION, LATEST, function_arn
from runtime.registry import FailedModule, Registry
from runtime.web.aws.errors import LambdaError, failed_validation
from runtime.web.exchange import Request

_LONGEST_NAME = 256
# In AWS's model (botocore, `lambda/2015-03-31`): NamespacedFunctionName, and
# NumericLatestPublishedOrAliasQualifier. Error messages quote them.
_NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?"
    r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
_NAME = re.compile(_NAME_PATTERN, re.ASCII)
_REGION_GROUP, _ACCOUNT_GROUP, _NAME_GROUP, _QUALIFIER_GROUP = 3, 9, 11, 13
_QUALIFIER = re.compile(_QUALIFIER_PATTERN, re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/[a-z0-9-]+/aws4_request")
_ACCOUNT = re.compile(r"[0-9]{12}")


class Caller(NamedTuple):
    """Who signed a request; `region` is None if nobody did."""

    account: str
    region: str | None


class Target(NamedTuple):
    """The function that a request is about; `qualifier` is None if none was given."""

    name: str
    qualifier: str | None
    account: str
    region: str

    @property
    def arn(self) -> str:
        """The ARN, with the qualifier that was given."""
        return f"{self.plain_arn}:{self.qualifier}" if self.qualifier else self.plain_arn

    @property
    def latest_arn(self) -> str:
        """The ARN of the one version that there is."""
        return f"{self.plain_arn}:{LATEST}"

    @property
    def plain_arn(self) -> str:
        """The ARN without a qualifier."""
        return function_arn(self.name, region=self.region, account=self.account)


def caller_of(req: Request) -> Caller:
    """Read the credential scope. An access key id of 12 digits is taken for the account."""
    found = _CREDENTIAL.search(req.header(b"authorization") or "")
    if found is None:
        return Caller(DEFAULT_ACCOUNT, None)
    key_id, region = found.groups()
    return Caller(key_id if _ACCOUNT.fullmatch(key_id) else DEFAULT_ACCOUNT, region)


def target_in(req: Request, parameters: Mapping[str, str]) -> Target:
    """Return the function that a request is about, by its path and query; raises as `target_of`."""
    return target_of(parameters["FunctionName"], req.get_param("Qualifier") or None, caller_of(req))


def target_of(given: str, qualifier: str | None, caller: Caller) -> Target:
    """Return the function that a name and a qualifier stand for, whether there is one or not.

    Raises `LambdaError` with AWS's words if they are malformed, or contradict each other.
    """
    if len(given) > _LONGEST_NAME:
        raise failed_validation(
            given, "functionName", f"have length less than or equal to {_LONGEST_NAME}"
        )
    found = _NAME.fullmatch(given)
    if found is None:
        raise failed_validation(
            given, "functionName", f"satisfy regular expression pattern: {_NAME_PATTERN}"
        )
    if qualifier is not None and not _QUALIFIER.fullmatch(qualifier):
        raise failed_validation(
            qualifier, "qualifier", f"satisfy regular expression pattern: {_QUALIFIER_PATTERN}"
        )
    derived = found[_QUALIFIER_GROUP]
    if derived and qualifier and derived != qualifier:
        raise LambdaError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    region = (found[_REGION_GROUP] or "").rstrip(":") or caller.region or DEFAULT_REGION
    if caller.region is not None and region != caller.region:
        raise LambdaError(
            "ResourceNotFoundException",
            f"Functions from '{region}' are not reachable in this region ('{caller.region}')",
        )
    return Target(
        name=found[_NAME_GROUP],
        qualifier=derived or qualifier,
        account=(found[_ACCOUNT_GROUP] or "").rstrip(":") or caller.account,
        region=region,
    )


def target_of_arn(text: str) -> Target | None:
    """Return the function that a whole ARN stands for; None if it is none of a function."""
    found = _NAME.fullmatch(text)
    if found is None or not (found[1] and found[_REGION_GROUP] and found[_ACCOUNT_GROUP]):
        return None
    return Target(
        name=found[_NAME_GROUP],
        qualifier=found[_QUALIFIER_GROUP],
        account=found[_ACCOUNT_GROUP].rstrip(":"),
        region=found[_REGION_GROUP].rstrip(":"),
    )


def not_found(target: Target) -> LambdaError:
    """Say that there is no such function, or no such version of it."""
    return LambdaError("ResourceNotFoundException", f"Function not found: {target.arn}")


def find(target: Target, registry: Registry) -> Function[..., Any] | FailedModule | None:
    """Return the function, in the one version that there is, or the module that stands for it."""
    if target.qualifier not in {None, LATEST}:
        return None
    return registry.get(target.name) or failed_module_of(target, registry)


def failed_module_of(target: Target, registry: Registry) -> FailedModule | None:
    """Return the module that could not be used and that is called like the function.

    Which functions it would have is not known; mostly there is one of its name.
    """
    if target.name in registry:
        return None
    return next((one for one in registry.failed if function_of(one) == target.name), None)


def function_of(module: FailedModule) -> str:
    """Return the name of the function that a module which failed stands for."""
    return module.module.rpartition(".")[2]
