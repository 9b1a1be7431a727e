"""What Python's configparser takes out of files: one JSON value a line for each path of standard input, null where
it refuses the file, else [[section, name, value or null], …]."""
import configparser
import json
import sys

for path in sys.stdin.read().split("\0")[:-1]:
    parser = configparser.ConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (configparser.Error, UnicodeDecodeError):
        print("null")
        continue
    found = []
    for section in parser.sections():
        for name in parser[section]:
            try:
                found.append([section, name, parser.get(section, name)])
            except configparser.Error:
                found.append([section, name, None])
    print(json.dumps(found))
