"""The engine for attack tests: the fixtures of tests/engine (registry, seed, skiff), under the same names."""
import importlib.util
import sys
from pathlib import Path

ENGINE = Path(__file__).resolve().parent.parent / "engine"
sys.path.append(str(ENGINE))
_spec = importlib.util.spec_from_file_location("engine_conftest", ENGINE / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

BIN, wait_until, registry, seed, skiff = _module.BIN, _module.wait_until, _module.registry, _module.seed, _module.skiff
