"""What PyYAML's safe_load takes out of files: one JSON value a line for each path of standard input, null where it
refuses the file, else {"yaml": …} with every scalar as [type, text]."""
import datetime
import json
import sys

import yaml


def shown(value):
    if value is None:
        return ["null", ""]
    if isinstance(value, bool):
        return ["bool", str(value).lower()]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", ""]
    if isinstance(value, str):
        return ["text", value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return ["time", ""]
    if isinstance(value, list):
        return {"list": [shown(one) for one in value]}
    if isinstance(value, dict):
        return {"map": [[shown(key), shown(one)] for key, one in value.items()]}
    return ["other", ""]


for path in sys.stdin.read().split("\0")[:-1]:
    with open(path, "rb") as file:
        data = file.read()
    try:
        print(json.dumps({"yaml": shown(yaml.safe_load(data))}))
    except RecursionError:
        print("null")
    except Exception:
        print("null")
