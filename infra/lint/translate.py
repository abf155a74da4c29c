"""Translates a SAM template to the CloudFormation that AWS makes of it, offline.

    translate.py template.yaml translated.json

It is the translator that AWS itself runs. Code is not looked at: a place in a bucket stands for it.
"""

import json
import sys
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REGION = "us-east-1"


def translate(text: str) -> dict:
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": "artifacts", "Key": "bootstrap.zip"}
    # Of roles that SAM makes itself the template has none, so it knows no managed policies.
    translator = Translator({}, Parser(), [], boto3.Session(region_name=REGION))
    place = {"AWS::Region": REGION, "AWS::Partition": "aws"}
    return translator.translate(template, place, passthrough_metadata=True)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    target.write_text(json.dumps(translate(source.read_text()), indent=2) + "\n")
