"""`python -m tests.programs.renew_openapi`: write the golden copy of the OpenAPI document."""

import argparse
import json
import sys
from pathlib import Path

from service.bundle import Bundle
from service.http.app import create_app
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE, Settings

GOLDEN = Path(__file__).parents[1] / "service/http/openapi.json"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(bundle=STARTER_BUNDLE, threads=1))
    document = create_app(model).openapi()
    model.close()
    GOLDEN.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
