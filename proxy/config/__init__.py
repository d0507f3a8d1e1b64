"""The config: TOML -> frozen values, all faults reported at once.

units, shapes, parse        values of one key
schema                      every table and key, with its default
tables, read                a document -> tables
check                       faults between tables
inherit, resolve, tokens    tables -> the values that the program works with
load                        find the file, read, check, freeze
describe, toml              the values -> a document again
binding                     who can reach the server
"""

from proxy.config.binding import check_anonymous_setting, needs_anonymous_setting
from proxy.config.changes import list_changes
from proxy.config.describe import describe
from proxy.config.load import Config, load_config
from proxy.config.tokens import ConfigToken
from proxy.config.toml import to_toml

__all__ = [
    "Config",
    "ConfigToken",
    "check_anonymous_setting",
    "describe",
    "list_changes",
    "load_config",
    "needs_anonymous_setting",
    "to_toml",
]
