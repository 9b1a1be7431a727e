"""What Expat takes out of files, with namespaces: one JSON value a line for each path of standard input, null where
it refuses the file, else [[path, text], …] of attributes and elements; names as they are written."""
import json
import sys
import xml.parsers.expat

NAMESPACES = "\x01"


def read(data):
    found, path, texts, children = [], [], [], []
    # With namespaces a name is refused that means nothing; without, it is given as it is written.
    checking = xml.parsers.expat.ParserCreate(namespace_separator=NAMESPACES)
    checking.Parse(data, True)
    parser = xml.parsers.expat.ParserCreate()
    parser.ordered_attributes = True

    def start(name, attributes):
        if children:
            children[-1] += 1
        path.append(name)
        texts.append("")
        children.append(0)
        for index in range(0, len(attributes), 2):
            found.append(["/".join(path) + "/@" + attributes[index], attributes[index + 1]])

    def end(name):
        text = texts.pop().strip(" \t\r\n")
        has_child = children.pop()
        found.append(["/".join(path), None if not text and has_child else text])
        path.pop()

    def characters(text):
        if texts:
            texts[-1] += text

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.Parse(data, True)
    return found


for file in sys.stdin.read().split("\0")[:-1]:
    with open(file, "rb") as handle:
        data = handle.read()
    try:
        print(json.dumps(read(data)))
    except (xml.parsers.expat.ExpatError, LookupError, ValueError):
        print("null")
