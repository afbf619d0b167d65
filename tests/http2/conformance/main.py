"""Runs all cases against a server, and prints the result of each as JSON: main.py PORT"""

import json
import sys

import grpc_cases
import http2_cases
from case import describe
from witness import Witness

port = int(sys.argv[1])
witness = Witness(port)
for case in http2_cases.CASES + grpc_cases.CASES:
    seen = case.run(port)
    result = {
        "section": case.section,
        "what": case.what,
        "seen": seen,
        "allowed": describe(case.allowed),
        "isExpected": seen == case.known if case.known else seen in case.allowed,
        "othersProblem": witness.problem(),
    }
    print(json.dumps(result), flush=True)
