"""The configuration in effect, as plain data, as YAML, and as a digest. Secrets are references there, never values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from exporter.config.duration import format_duration
from exporter.config.scalar import read_plain
from exporter.model.settings import Account, Config, Endpoint, Module, ProbeSettings, SecretRef, Security, Tls

_DUMPER = cast("type[yaml.SafeDumper]", getattr(yaml, "CSafeDumper", yaml.SafeDumper))


@dataclass(frozen=True, slots=True)
class Parts:
    """What a configuration says, as far as it is in effect."""

    accounts: Mapping[str, Account]
    endpoints: Mapping[str, Endpoint]
    modules: Mapping[str, Module] = field(default_factory=dict)
    probe: ProbeSettings = field(default_factory=ProbeSettings)


def dump(config: Config) -> str:
    """Return the effective configuration as YAML, which loads again to the same digest."""
    plain = describe_effective(config)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def digest(effective: Parts) -> str:
    """Return the SHA-256 in hex of what is in effect, whatever the order and the comments of the file."""
    plain = json.dumps(describe_effective(effective), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def describe_effective(effective: Parts | Config) -> dict[str, Any]:
    """Return what is in effect in the shape of a configuration file."""
    shown: dict[str, Any] = {}
    if effective.accounts:
        shown["accounts"] = {name: _account(account) for name, account in effective.accounts.items()}
    if effective.endpoints:
        shown["endpoints"] = {name: _endpoint(endpoint) for name, endpoint in effective.endpoints.items()}
    if effective.modules:
        shown["modules"] = {name: _module(module) for name, module in effective.modules.items()}
    if effective.modules or effective.probe != ProbeSettings():
        allow = effective.probe.allow
        shown["probe"] = {} if allow is None else {"allow": [str(pattern) for pattern in allow]}
        shown["probe"]["max_concurrent"] = effective.probe.max_concurrent
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
    shown = {"protocol": str(endpoint.protocol), "host": endpoint.host, **_session(endpoint)}
    if endpoint.labels:
        shown["labels"] = dict(endpoint.labels)
    for key in ("interval", "timeout", "login_interval"):
        shown[key] = format_duration(getattr(endpoint, key))
    shown["ip_family"] = str(endpoint.ip_family)
    return shown


def _module(module: Module) -> dict[str, Any]:
    shown = {"protocol": str(module.protocol), **_session(module)}
    for key in ("timeout", "login_interval"):
        shown[key] = format_duration(getattr(module, key))
    shown["ip_family"] = str(module.ip_family)
    if module.allow_hosts is not None:
        shown["allow_hosts"] = [str(pattern) for pattern in module.allow_hosts]
    return shown


def _session(one: Endpoint | Module) -> dict[str, Any]:
    shown: dict[str, Any] = {"port": one.port, "security": str(one.security)}
    if one.account is not None:
        shown["account"] = one.account.name
        shown["mechanism"] = str(one.mechanism)
    if one.folders:
        shown["folders"] = [str(role) for role in one.folders]
    if one.security is not Security.NONE:
        shown["tls"] = _tls(one.tls)
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
