"""The configuration in effect, as plain data, as YAML, and as a digest. Secrets are references there, never values."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

import yaml

from exporter.config.duration import format_duration
from exporter.config.model import Account, Config, Endpoint, SecretRef, Security, Tls
from exporter.config.scalar import read_plain

_DUMPER = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def dump(config: Config) -> str:
    """Return the effective configuration as YAML, which loads again to the same digest."""
    plain = describe_effective(config.accounts, config.endpoints)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def digest(accounts: Mapping[str, Account], endpoints: Mapping[str, Endpoint]) -> str:
    """Return the SHA-256 in hex of what is in effect, whatever the order and the comments of the file."""
    plain = json.dumps(describe_effective(accounts, endpoints), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def describe_effective(accounts: Mapping[str, Account], endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    """Return what is in effect in the shape of a configuration file."""
    shown: dict[str, Any] = {}
    if accounts:
        shown["accounts"] = {name: _account(account) for name, account in accounts.items()}
    shown["endpoints"] = {name: _endpoint(endpoint) for name, endpoint in endpoints.items()}
    return shown


def _account(account: Account) -> dict[str, Any]:
    shown: dict[str, Any] = {"username": account.username}
    if account.app_password is not None:
        shown["app_password"] = _secret(account.app_password)
    if account.oauth2 is not None:
        shown["oauth2"] = {
            "client_id": account.oauth2.client_id,
            "client_secret": _secret(account.oauth2.client_secret),
            "refresh_token": _secret(account.oauth2.refresh_token),
            "token_uri": account.oauth2.token_uri,
        }
    if account.service_account is not None:
        shown["service_account"] = _secret(account.service_account)
    shown["max_logins_per_day"] = account.max_logins_per_day
    return shown


def _secret(reference: SecretRef) -> dict[str, str]:
    return {"file": str(reference.file)} if reference.file is not None else {"env": str(reference.env)}


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "protocol": str(endpoint.protocol),
        "host": endpoint.host,
        "port": endpoint.port,
        "security": str(endpoint.security),
    }
    if endpoint.account is not None:
        shown["account"] = endpoint.account.name
        shown["mechanism"] = str(endpoint.mechanism)
    if endpoint.folders:
        shown["folders"] = [str(role) for role in endpoint.folders]
    if endpoint.security is not Security.NONE:
        shown["tls"] = _tls(endpoint.tls)
    if endpoint.labels:
        shown["labels"] = dict(endpoint.labels)
    for key in ("interval", "timeout", "login_interval"):
        shown[key] = format_duration(getattr(endpoint, key))
    shown["ip_family"] = str(endpoint.ip_family)
    return shown


def _tls(tls: Tls) -> dict[str, str]:
    shown = {"ca_file": str(tls.ca_file)} if tls.ca_file is not None else {}
    if tls.server_name is not None:
        shown["server_name"] = tls.server_name
    return {**shown, "min_version": tls.min_version}


class _Dumper(_DUMPER):  # type: ignore[misc,valid-type] # which of the two is known when PyYAML is imported
    """Quotes what some parser would not read as text, and writes equal mappings out instead of aliasing them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = read_plain(text)
    style = None if plain.value == text and plain.trap is None else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
