from __future__ import annotations

from pathlib import Path

import pytest

from mailferry.config import (
    Config,
    ConfigError,
    ListenerSecurity,
    config_text,
    find_data_directory,
    find_file,
    is_loopback,
    load_config,
    parse_config,
)


def test_the_described_file_holds_the_defaults() -> None:
    assert parse_config(config_text(), "described") == Config()


def test_every_setting_is_described() -> None:
    lines = config_text().splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("# ") and "[[imap]]" in "".join(lines[:number]):
            before = lines[number - 1]
            again = any(line.split("=")[0] == earlier.split("=")[0] for earlier in lines[:number])
            assert before.startswith("#") or again, line


def test_no_file_serves_this_machine_only() -> None:
    config = load_config(None)
    assert [(one.host, one.port, one.security) for one in config.imap] == [
        ("127.0.0.1", 1143, ListenerSecurity.STARTTLS),
        ("127.0.0.1", 1993, ListenerSecurity.TLS),
    ]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mailferry.toml"
    path.write_text(
        'data_directory = "/srv/mail"\n'
        '[[imap]]\nhost = "0.0.0.0"\nport = 993\nsecurity = "tls"\n'
        "[limits]\nconnections_max = 3\n"
    )
    config = load_config(path)
    assert config.data_directory == Path("/srv/mail")
    assert [one.port for one in config.imap] == [993]
    assert config.limits.connections_max == 3


MISTAKES = [
    ("x = 1\n", "f:1: x: there is no such setting; known here: data_directory, imap"),
    ("\n\ndata_directory = 3\n", "f:3: data_directory: a path is written in quotes"),
    (
        "[[imap]]\n[[imap]]\nprot = 4\n",
        'f:3: imap[2].prot: there is no such setting; did you mean "port"',
    ),
    ("[[imap]]\nport = 70000\n", "f:2: imap[1].port: should be less than or equal to 65535"),
    (
        '[[imap]]\nsecurity = "ssl"\n',
        "f:2: imap[1].security: should be 'tls', 'starttls' or 'plain'",
    ),
    (
        '[[imap]]\nhost = "0.0.0.0"\nsecurity = "plain"\n',
        'f:1: imap[1]: security = "plain" would send',
    ),
    ("[imap]\nport = 1\n", "f:1: imap: write each listener as a table of its own"),
    ('[tls]\nkey_file = "x"\n', "f:1: tls: certificate_file and key_file belong together"),
    ("[limits]\nconnections_max = 0\n", "f:2: limits.connections_max: should be greater"),
    (
        "[limits]\nconection_max = 9\n",
        "f:2: limits.conection_max: there is no such setting; did you",
    ),
    ("a = = 3\n", "f: not TOML: Invalid value (at line 1"),
    (
        "[[imap]]\nport=1\n[[imap]]\nport=1\n",
        "f: two [[imap]] listeners have the same host and port",
    ),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_config(text, "f")
    assert str(told.value).startswith(words)
    assert "Input" not in str(told.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        parse_config("x = 1\ny = 2\n", "f")
    assert [line[:3] for line in str(told.value).splitlines()] == ["f:1", "f:2"]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "missing.toml")
    (tmp_path / "latin1.toml").write_bytes(b'x = "\xe9"')
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "latin1.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="longer"):
        load_config(tmp_path / "big.toml")


def test_option_comes_before_environment_before_file_before_own_place(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d")}
    (tmp_path / "c" / "mailferry").mkdir(parents=True)
    users = tmp_path / "c" / "mailferry" / "mailferry.toml"
    users.touch()
    assert find_file(None, environ) == users
    assert find_file(None, environ | {"MAILFERRY_CONFIG": "/e"}) == Path("/e")
    assert find_file(Path("/o"), environ | {"MAILFERRY_CONFIG": "/e"}) == Path("/o")

    in_file = Config(data_directory=Path("/f"))
    assert find_data_directory(None, Config(), environ) == tmp_path / "d" / "mailferry"
    assert find_data_directory(None, in_file, environ) == Path("/f")
    assert find_data_directory(None, in_file, {"MAILFERRY_DATA": "/e"}) == Path("/e")
    assert find_data_directory(Path("/o"), in_file, {"MAILFERRY_DATA": "/e"}) == Path("/o")
    relative = find_data_directory(None, Config(), {"XDG_DATA_HOME": "relative"})
    assert relative == Path.home() / ".local/share/mailferry"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "boat.local"])  # noqa: S104
def test_not_the_loopback(host: str) -> None:
    assert not is_loopback(host)
