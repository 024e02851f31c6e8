"""An operator, a partner and a tenant with the starter tasks active, set up over the public API."""

import secrets
from typing import Any

from cli.client import ApiProblem, ParleyClient
from cli.demo import vendors

PARTNER = {"slug": "demo-partner", "name": "Demo Partner"}
TENANT = {
    "slug": "demo",
    "name": "Demo Tenant",
    "time_zone": "Europe/London",
    "languages": ["en", "de"],
    "limits": {
        "conversations": {"warn_at": 8_000, "stop_at": 10_000},
        "audio_minutes": {"warn_at": 4_000, "stop_at": 5_000},
        "requests": {"warn_at": 80_000, "stop_at": 100_000},
        "tokens": {"warn_at": 80_000_000, "stop_at": 100_000_000},
        "cost_usd": {"warn_at": 80, "stop_at": 100},
    },
    "retention": {"audio_days": 90, "text_days": 365, "insight_days": 730},
}
PERSON = {"email": "demo@example.com", "name": "Demo Person", "role": "operator"}
"""Who looks at the demo's pages; as an operator, so that nothing is hidden."""


def set_up(client: ParleyClient) -> str:
    """The demo tenant's id; what exists already is found."""
    partner = _found_or_made(client, "/v1/platform/partners", PARTNER)
    tenant_id = _found_or_made(client, "/v1/platform/tenants", {**TENANT, "partner_id": partner})
    client.for_tenant(tenant_id)
    for task in client.request("GET", "/v1/tasks")["items"]:
        if task["active"] is None and task["newest"] is not None:
            client.request("POST", f"/v1/tasks/{task['slug']}/activation", json={})
    vendors.set_up(client)
    return tenant_id


def viewer(client: ParleyClient, email: str = PERSON["email"]) -> str:
    """The password of the demo's person, made anew: it is shown once and kept nowhere."""
    password = secrets.token_urlsafe(12)
    known = {user["email"]: user["id"] for user in client.request("GET", "/v1/users")["items"]}
    if email in known:
        client.request("PUT", f"/v1/users/{known[email]}/password", json={"password": password})
    else:
        client.request("POST", "/v1/users", json={**PERSON, "email": email, "password": password})
    return password


def _found_or_made(client: ParleyClient, path: str, body: dict[str, Any]) -> str:
    for item in client.request("GET", path)["items"]:
        if item["slug"] == body["slug"]:
            return str(item["id"])
    try:
        return str(client.request("POST", path, json=body)["id"])
    except ApiProblem as problem:
        if problem.status != 409:
            raise
    return next(str(item["id"]) for item in client.request("GET", path)["items"] if item["slug"] == body["slug"])
