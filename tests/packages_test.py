#!/usr/bin/python3
"""packages_test.py: every program that our scripts, tests and build files call belongs to a package of tools/install-deps.

A developer's machine has many programs; a fresh one has what Debian calls essential, apt, and what install-deps names with
its dependencies. Looks at command positions of shell scripts, at argument lists of Python's subprocess, at find_program of
CMake, at std::system and Command of C++, and at what docs/protocol/join.md has its reader type. Needs dpkg; elsewhere it says so and passes.
"""
import ast
import functools
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHELL_WORDS = set("""if then else elif fi for while until do done case esac in function select time coproc { } ! [[ ]] (( )) [ . :
    alias bg break builtin caller cd command continue declare dirs echo enable eval exec exit export false fg getopts hash let
    local mapfile popd printf pushd read readarray readonly return set shift shopt source test times trap true type typeset
    ulimit umask unset wait kill jobs pwd""".split())
# Bring what they need themselves: the user's own right to install, and Node where install-deps keeps a newer one. clang-tidy
# is installed by tools/tidy alone.
OWN = {"sudo", "node", "npm", "run-clang-tidy-19"}
PREFIXES = {"exec", "env", "nice", "time", "!", "command", "if", "then", "else", "elif", "while", "until", "do", "sudo", "nohup"}


def unquoted(text):
    """Shell text without comments and quoted words; what quoted words run by $(…) stays."""
    token = re.compile(r"""(?P<comment>(?<!\S)\#[^\n]*)|'[^']*'|\\.|"(?P<quoted>(?:[^"\\$]|\\.|\$\((?:[^()"]|"[^"]*")*\)|\$)*)"|.""", re.S)
    out = []
    for match in token.finditer(text):
        if match.lastgroup == "quoted":
            out.append("Q " + " ".join("; " + unquoted(inner) + " ;" for inner in re.findall(r"\$\(((?:[^()\"]|\"[^\"]*\")*)\)", match["quoted"])))
        elif match.lastgroup == "comment":
            continue
        elif match[0][0] in "'\\":
            out.append(" " if match[0] == "\\\n" else "Q")
        else:
            out.append(match[0])
    return "".join(out)


def shell_commands(text):
    """Words at command positions."""
    text = re.sub(r"<<-?\s*['\"]?(\w+)['\"]?\n.*?\n\1\n", "\n", text, flags=re.S)
    text = unquoted(text)
    text = re.sub(r"\(\([^;]*?\)\)", "((", text)
    text = re.sub(r"\w\+?=\(([^)]*)\)", lambda match: "=" if "$(" not in match[1] else match[0], text)
    text = re.sub(r"(^|\bin\s|;;)\s*[\w*?.-]+(\s*\|\s*[\w*?.-]+)*\)", r"\1\n", text, flags=re.M)  # patterns of case
    functions = set(re.findall(r"(\w+)\(\)\s*{", text))
    for part in re.split(r"[\n;|&(){}`]", text):
        words = part.split()
        while words and (words[0] in PREFIXES or re.match(r"\w+\+?=|[<>]|-|\d?>", words[0])):
            words.pop(0)
        if words and re.fullmatch(r"[A-Za-z][\w+.-]*", words[0]) and words[0] not in SHELL_WORDS | functions | {"Q"}:
            yield words[0]


def first_word(node):
    if isinstance(node, ast.List) and node.elts and isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[0].value, str):
        return node.elts[0].value
    return None


def python_commands(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("run", "Popen", "check_output", "check_call", "Program", "program") and node.args:
                yield first_word(node.args[0])
            if called == "which" and node.args and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") in ("argv", "command") for target in node.targets):
            yield first_word(node.value)


def cpp_commands(text):
    yield from re.findall(r'\b(?:argv = \{"|command = fmt::format\(")([a-z][a-z.+-]*)', text)
    for script in re.findall(r'(?:std::system|popen)\((?:fmt::format\()?"([^"]*)"', text):
        yield from shell_commands(script.replace("'{}'", "").replace("{}", ""))


def cmake_commands(text):
    yield from re.findall(r"find_program\(\w+ (?:NAMES )?([\w.+-]+)", text)


def documented_commands(text):
    """tests/whole/test_join.py runs what stands there."""
    yield from re.findall(r"^\$ ([\w.+-]+)", text, re.M)


def called():
    """{program: a file that calls it}"""
    found = {}
    for path in tracked_files():
        text = path.read_text("utf-8", errors="replace")
        first = text.split("\n", 1)[0]
        if first.startswith("#!") and "sh" in first.rsplit("/", 1)[-1].split()[-1]:
            reader = shell_commands
        elif path.suffix == ".py" or first.startswith("#!") and "python" in first:
            reader = python_commands
        elif path.suffix in (".cc", ".h"):
            reader = cpp_commands
        elif path.name == "join.md":
            reader = documented_commands
        elif path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            reader = cmake_commands
        else:
            continue
        for program in reader(text):
            if program:
                found.setdefault(program, path.relative_to(ROOT))
    return found


def tracked_files():
    # bench/ compares us with peers and has packages of its own; see its README.
    for top in ("run", "test", ".ci", "tools", "tests", "testing", "src", "cmake", "CMakeLists.txt", "web/CMakeLists.txt", "web/tools", "docs/protocol/join.md"):
        path = ROOT / top
        yield from [path] if path.is_file() else (file for file in sorted(path.rglob("*")) if file.is_file())


def lines_of(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()


@functools.cache
def installed():
    """{package: (essential, [[alternative…]…])} of this machine, and {virtual package: providers}."""
    packages, providers = {}, {}
    for line in lines_of("dpkg-query", "-W", "-f", "${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\t${Provides}\n"):
        name, essential, depends, provides = line.split("\t")
        plain = lambda text: re.sub(r"[:( ].*", "", text.strip())
        packages[name] = (essential == "yes", [[plain(one) for one in group.split("|")] for group in depends.split(",") if group.strip()])
        for virtual in provides.split(","):
            providers.setdefault(plain(virtual), []).append(name)
    return packages, providers


def on_a_fresh_machine(wanted):
    packages, providers = installed()
    todo = ["apt", *wanted, *(name for name, (essential, _) in packages.items() if essential)]
    reached = set()
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        if name not in packages:
            todo.extend(providers.get(name, []))
            continue
        reached.add(name)
        for group in packages[name][1]:
            todo.extend(group)
    return reached


@functools.cache
def package_of(program):
    path = shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin") or shutil.which(program)
    if path is None:
        return None
    real = pathlib.Path(path)
    for name in dict.fromkeys((str(real), str(real).removeprefix("/usr"), str(real.resolve()), str(real.resolve()).removeprefix("/usr"))):
        owners = [line.split(":")[0] for line in lines_of("dpkg", "-S", name) if not line.startswith("diversion")]
        if owners:
            return owners[0]
    return None


def main():
    if not shutil.which("dpkg-query"):
        print("packages_test: no dpkg on this machine, nothing to compare with")
        return 0
    # apt-get's names; the compilers of tools/fuzz and tools/tidy belong to those scripts alone.
    wanted = lines_of(str(ROOT / "tools" / "install-deps"), "--list")
    fresh = on_a_fresh_machine(wanted)
    faults = []
    programs = called()
    for program, caller in sorted(programs.items()):
        if program in OWN or (ROOT / program).exists():
            continue
        package = package_of(program)
        if package is None:
            faults.append(f"{caller} calls '{program}', which is not on this machine")
        elif package not in fresh:
            faults.append(f"{caller} calls '{program}' of package {package}, which tools/install-deps does not install")
    print("\n".join(faults) if faults else f"packages_test: {len(programs)} programs, all of packages that are installed")
    return 1 if faults else 0


sys.exit(main())
