"""What can go wrong before there is a service: one branch of the error tree."""

from domain.errors import ParleyError


class StackError(ParleyError):
    """The embedded stack cannot be started, stopped or inspected. The message says what to do."""

    code = "embedded_stack"
    title = "The embedded stack has a problem"
