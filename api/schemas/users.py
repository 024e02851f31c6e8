"""People's accounts. A password comes in and never goes out."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.schemas.common import Out
from domain.people import MAX_PASSWORD, NewUser, User, UserRole, UserState

Password = Annotated[SecretStr, Field(max_length=4 * MAX_PASSWORD, description="12 to 256 characters.")]


class UserIn(NewUser):
    """A new account of the tenant."""

    password: Password

    def account(self) -> NewUser:
        return NewUser(email=self.email, name=self.name, role=self.role)


class PasswordIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    password: Password


class UserOut(Out):
    """state: active, locked (may not sign in), gone (removed). has_password: whether they can sign in with one."""

    id: str
    email: str
    name: str
    role: UserRole
    state: UserState
    has_password: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserOut":
        return cls.model_validate({name: getattr(user, name) for name in cls.model_fields})


class UserListOut(Out):
    items: list[UserOut]
