"""The one Temporal plugin: data converter, codec, failures, sandbox. Given to the client, workers inherit it;
the Replayer must be given it again."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import SandboxImportNotificationPolicy

from infra.temporal.codec import KeyRing, SealingCodec
from infra.temporal.failures import FailureInterceptor
from infra.temporal.observe import ObservingInterceptor

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

PASSTHROUGH = ("domain", "workflows.endings", "workflows.stages")
"""Pure: imported once per process instead of once per run, and classes keep their identity between workflow and
activity. A test holds what these modules of `workflows` import against a short list; the SDK passes Pydantic
through by itself."""

STRICT_IMPORTS = (
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
)
"""For tests: an import that a workflow should not have fails when the worker is built."""


def parley_plugin(keys: KeyRing, *, strict_imports: bool = False, tracing: "Tracing | None" = None) -> SimplePlugin:
    """The plugin. `strict_imports` refuses workflow imports that are not passed through on purpose; with `tracing` runs
    and stages have spans, where the plugin of OpenTelemetry comes before this one."""

    def workflow_runner(given: WorkflowRunner | None) -> WorkflowRunner:
        # Changed, not replaced: a tracing plugin adds its own passthrough, before or after this one.
        if not isinstance(given, SandboxedWorkflowRunner):
            return given or sandbox(SandboxedWorkflowRunner(), strict_imports=strict_imports)
        return sandbox(given, strict_imports=strict_imports)

    return SimplePlugin(
        "parley",
        data_converter=data_converter(keys),
        workflow_runner=workflow_runner,
        interceptors=[ObservingInterceptor(tracing), FailureInterceptor()],
        workflow_failure_exception_types=[ValidationError],  # bad input fails the run; it would retry for ever
    )


def data_converter(keys: KeyRing) -> DataConverter:
    """Pydantic models as JSON, sealed; messages and stacks of failures are sealed too."""
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
        payload_codec=SealingCodec(keys),
    )


def sandbox(runner: SandboxedWorkflowRunner, *, strict_imports: bool) -> SandboxedWorkflowRunner:
    """The sandbox workflows run in, on top of the restrictions it has."""
    restrictions = runner.restrictions.with_passthrough_modules(*PASSTHROUGH)
    if strict_imports:
        restrictions = replace(restrictions, import_notification_policy=STRICT_IMPORTS)
    return replace(runner, restrictions=restrictions)
