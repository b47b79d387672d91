"""The reference of all public names: what doxygen reads in include/, as Markdown for docs/conf.py.

usage: python3 docs/reference.py FOLDER
Runs doxygen there and names each public name without a comment; the exit status is 1 if there is one. A name is documented by
a comment of its own, of an overload or on its line; a member also by the comment of its class, or of a concept, that names it.
"""
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES = ("struct", "class", "union")
CONTRACTS = ("map", "reduce_rows", "Activation")  # beside concepts: their comments say what a class has


@dataclasses.dataclass
class Name:
    """A public name: of a namespace, or a class's member."""
    kind: str  # struct, class, union, concept, function, variable, typedef, enum, enumvalue, define
    name: str  # with the classes that it stands in
    declaration: str
    comment: str  # Markdown
    file: str
    line: int
    members: list = dataclasses.field(default_factory=list)
    documented: bool = False


def run_doxygen(folder):
    """Writes the XML of include/ to folder/xml. Exits with a sentence where doxygen is missing or fails."""
    if not shutil.which("doxygen"):
        sys.exit("error: expected doxygen on the PATH, got none; install the package doxygen")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "xml", ignore_errors=True)
    options = (ROOT / "docs/Doxyfile").read_text() + f"\nOUTPUT_DIRECTORY = {folder}\n"
    if subprocess.run(["doxygen", "-"], input=options, text=True, cwd=ROOT).returncode != 0:
        sys.exit("error: expected doxygen to read include/, got what it says above; mend the headers or docs/Doxyfile")


def plain(element):
    """The text of an element as C++ is written here: `const T& x`, `View<int>`."""
    text = " ".join("".join(element.itertext()).split()) if element is not None else ""
    text = re.sub(r"\[\[[^\]]*\]\] ?|\binline ", "", text)
    text = re.sub(r" ([&*]+)(?=[\w.])", r"\1 ", text)
    text = re.sub(r" ([&*]+)(?=[),>=]|$)", r"\1", text)
    text = re.sub(r"(?<=[\w>&*])=(?=[\w{\"-])", " = ", text)
    return re.sub(r"< (?=[\w:])|(?<=[\w>*&)]) (?=>)", lambda found: found[0].strip(), text)


def escaped(text):
    return re.sub(r"([\\`*_\[\]<>$|~{}#])", r"\\\1", text)


def code(text):
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


def markdown(element, indent=""):
    """A comment as Markdown: paragraphs, lists, code."""
    if element is None:
        return ""
    out = escaped(element.text or "")
    for child in element:
        if child.tag == "computeroutput":
            out += code("".join(child.itertext()))
        elif child.tag in ("bold", "emphasis"):
            marks = "**" if child.tag == "bold" else "*"
            out += marks + markdown(child, indent).strip() + marks
        elif child.tag in ("itemizedlist", "orderedlist"):
            items = (markdown(item, indent + "  ").strip() for item in child)
            out += "\n" + "".join(f"\n{indent}- {item}" for item in items) + "\n"
        elif child.tag in ("verbatim", "programlisting"):
            out += f"\n\n```text\n{''.join(child.itertext()).strip()}\n```\n"
        elif child.tag == "para":
            out += "\n\n" + indent + markdown(child, indent).strip()
        else:
            out += markdown(child, indent)
        out += escaped(child.tail or "")
    return out


def comment_of(element):
    parts = (markdown(element.find(tag)).strip() for tag in ("briefdescription", "detaileddescription"))
    return "\n\n".join(part for part in parts if part)


def template_of(element):
    parameters = element.find("templateparamlist")
    if parameters is None:
        return ""
    texts = []
    for parameter in parameters:
        text = " ".join(plain(parameter.find(tag)) for tag in ("type", "declname") if parameter.find(tag) is not None)
        default = plain(parameter.find("defval"))
        texts.append(text + (f" = {default}" if default else ""))
    requires = plain(element.find("requiresclause"))
    return f"template <{', '.join(texts)}>\n" + (f"  requires {requires}\n" if requires else "")


def place_of(element):
    location = element.find("location")
    return location.get("file"), int(location.get("line"))


def without_namespaces(name):
    return name.replace("NEUROINHIB_TARGET::", "").removeprefix("neuroinhib::")


def class_of(element):
    name = without_namespaces(plain(element.find("compoundname")))
    bases = [without_namespaces(plain(base)) for base in element.findall("basecompoundref") if "detail::" not in plain(base)]
    declaration = f"{template_of(element)}{element.get('kind')} {name}" + (f" : {', '.join(bases)}" if bases else "")
    return Name(element.get("kind"), name, declaration, comment_of(element), *place_of(element))


def concept_of(element):
    name = without_namespaces(plain(element.find("compoundname")))
    text = "".join(element.find("initializer").itertext()).split("=", 1)[1].strip()
    return Name("concept", name, f"{template_of(element)}concept {name} = {text}", comment_of(element), *place_of(element))


def member_of(element, scope):
    kind, name, kind_of_type = element.get("kind"), plain(element.find("name")), plain(element.find("type"))
    value = plain(element.find("initializer"))
    static = "static " if element.get("static") == "yes" and kind_of_type.find("static") < 0 else ""
    if kind == "define":
        parameters = [plain(parameter) for parameter in element.findall("param")]
        declaration = f"#define {name}" + (f"({', '.join(parameters)})" if parameters else "")
    elif kind == "typedef":
        declaration = f"{template_of(element)}using {name} = {kind_of_type}"
    elif kind == "enum":
        values = ", ".join(plain(value.find("name")) for value in element.findall("enumvalue"))
        declaration = f"enum class {name} {{ {values} }}"
    else:
        tail = plain(element.find("argsstring")) if kind == "function" else f" {value}" if value else ""
        declaration = f"{template_of(element)}{static}{kind_of_type} {name}{tail}".replace("\n ", "\n")
    made = Name(kind, scope + name, declaration.strip(), comment_of(element), *place_of(element))
    for value in element.findall("enumvalue"):
        made.members.append(Name("enumvalue", f"{made.name}::{plain(value.find('name'))}", plain(value.find("name")),
                                 comment_of(value), *place_of(element)))
    return made


def general(name):
    """The name without a specialisation's arguments."""
    return re.sub(r"(?<=\w)<.*>$", "", name)


def base_of(name):
    """The name alone, without its scope."""
    return general(name).rsplit("::", 1)[-1]


def shares_comment(name, spoken):
    """Whether the comment of `spoken` serves `name`: an overload, or declared on its line."""
    return general(name.name) == general(spoken.name) or (name.file, name.line) == (spoken.file, spoken.line)


def needs_no_comment(name):
    """Special members do what their names say."""
    return name.kind == "function" and (base_of(name.name).startswith("~") or
                                        re.search(r"= ?(default|delete)$", name.declaration))


def words_of_contracts(names):
    """What the comments of concepts, and of CONTRACTS, ask of a class: calls, constants, types."""
    asked = r"operator\(\)|\b\w+(?=\(|<)|`\w+`|\bk[A-Z]\w+|\b(?:Config|Scalar|Backend)\b"
    asking = (name.comment.replace("\\", "") for name in names if name.kind == "concept" or name.name in CONTRACTS)
    return {word.strip("`") for comment in asking for word in re.findall(asked, comment)}


def words_in(comment):
    return set(re.findall(r"\w+", comment.replace("\\", "")))


def mark_documented(names, words):
    """Tells for each of the names, members of one scope, whether it is documented; `words` are those of comments around."""
    spoken = [name for name in names if name.comment]
    for name in names:
        name.documented = bool(needs_no_comment(name) or base_of(name.name) in words
                               or any(shares_comment(name, other) for other in spoken))
        mark_documented(name.members, words | words_in(name.comment))


def is_of_others(member):
    """A macro that another library reads."""
    return member.get("kind") == "define" and not plain(member.find("name")).startswith("NEUROINHIB_")


def members_of(compound, scope, seen):
    """The public members of a namespace, file or class; what another compound has shown already is left out."""
    for member in compound.iter("memberdef"):
        if is_of_others(member):
            continue
        if member.get("prot") == "public" and member.get("kind") != "friend" and member.get("id") not in seen:
            seen.add(member.get("id"))
            yield member_of(member, scope)


def read(folder):
    """All public names, those of each file in its order."""
    compounds = {}
    for path in sorted((folder / "xml").glob("*.xml")):
        compound = ElementTree.parse(path).getroot().find("compounddef")
        if compound is not None and compound.get("kind") in (*CLASSES, "concept", "namespace", "file"):
            compounds[plain(compound.find("compoundname"))] = compound
    if not compounds:
        sys.exit(f"error: expected doxygen's XML in {folder}, got none; run scripts/docs, which makes it first")
    names, classes, seen = [], {}, set()
    for full, compound in compounds.items():
        if compound.get("kind") in CLASSES:
            around = [full[:at.start()] for at in re.finditer("::", full)] + [full]
            if all(compounds[name].get("prot", "public") == "public" for name in around if name in compounds):
                classes[full] = class_of(compound)
        elif compound.get("kind") == "concept":
            names.append(concept_of(compound))
        else:
            scope = without_namespaces(full + "::") if compound.get("kind") == "namespace" else ""
            names += members_of(compound, scope, seen)
    for full, made in classes.items():
        made.members += members_of(compounds[full], made.name + "::", seen)
        outer = classes.get(full.rsplit("::", 1)[0])
        (outer.members if outer else names).append(made)
    names.sort(key=lambda name: (name.file, name.line))
    for made in classes.values():
        made.members.sort(key=lambda member: member.line)
    mark_documented(names, set())
    contract = words_of_contracts(names)
    for name in names:
        mark_documented(name.members, contract | words_in(name.comment))
    return names


def undocumented(names):
    for name in names:
        if not name.documented:
            yield name
        if name.kind in CLASSES:
            yield from undocumented(name.members)


def wrapped(declaration):
    """A declaration in lines of at most 88 characters, where it can be broken between parameters."""
    lines = []
    for line in declaration.split("\n"):
        opening = line.find("(")
        while len(line) > 88 and (cut := line.rfind(", ", opening, 88)) > 0:
            lines.append(line[:cut + 1])
            line = " " * (opening + 1) + line[cut + 2:]
        lines.append(line)
    return "\n".join(lines)


def described(members):
    """Members with comments, as a list of definitions; what shares a comment stands before it."""
    groups = []
    for member in members:
        if member.comment:
            groups.append((member, [member]))
    for member in members:
        if not member.comment:
            next(group for spoken, group in groups if shares_comment(member, spoken)).append(member)
    return "".join("\n" + " ".join(code(member.declaration.replace("\n", " ")) for member in sorted(group, key=members.index)) +
                   "\n: " + spoken.comment.replace("\n", "\n  ") + "\n" for spoken, group in groups)


def has_comments(name):
    return bool(name.comment) or any(map(has_comments, name.members))


def entry(name, level):
    """A name with its members: its declaration, its comment, and those of its members that have comments."""
    members = [member for member in name.members if not needs_no_comment(member)]
    nested = [member for member in members if member.kind in CLASSES and has_comments(member)]
    others = [member for member in members if member not in nested]
    spoken = [member for member in others if member.comment]
    listed = [member for member in others if any(shares_comment(member, other) for other in spoken)]
    brief = [member for member in others if member not in listed]
    declaration = name.declaration
    if brief and name.kind in CLASSES:
        body = "".join("  " + member.declaration.replace("\n", "\n  ") + ";\n" for member in brief)
        declaration += " {\n" + body + "}"
    head = f"```{{index}} single: {name.name}\n```\n\n{'#' * level} {escaped(name.name)}"
    out = f"\n{head}\n\n```cpp\n{wrapped(declaration)}\n```\n\n{name.comment}\n{described(listed)}"
    return out + "".join(entry(member, level + 1) for member in nested)


def page(names, folder):
    """What the page of a folder of include/neuroinhib says, header by header; "" is the folder itself."""
    out, header = "", ""
    for name in names:
        inside = name.file.removeprefix("include/neuroinhib/")
        if (inside.split("/")[0] if "/" in inside else "") != folder:
            continue
        if header != inside:
            out += f"\n## {escaped(inside)}\n"
            header = inside
        out += entry(name, 3)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1]).resolve()
    run_doxygen(target)
    public = read(target)
    bad = list(undocumented(public))
    for name in bad:
        print(f"{name.file}:{name.line}: expected a comment /// for the {name.kind} {name.name}, got none; "
              "say what it is, with shapes, units and errors")
    print(f"{len(public)} public names, and members of classes; {len(bad)} of all without a comment")
    sys.exit(1 if bad else 0)
