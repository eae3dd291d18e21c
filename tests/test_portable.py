"""The package imports where Linux's own modules are missing."""

import subprocess
import sys


def test_everything_but_the_model_code_imports_without_fcntl_and_resource() -> None:
    program = (
        "import sys, filelock, platformdirs, psutil  # they know what each system has\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios'):\n"
        "    sys.modules[name] = None\n"
        "import studio.cli.main, studio.runs.queue, studio.library.library\n"
        "import studio.resources, studio.devices, trainers.storage\n"
        "sys.exit(studio.cli.main.main(['methods']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lora" in done.stdout


def test_listing_methods_and_blends_loads_no_model_library() -> None:
    program = (
        "import sys\n"
        "from trainers.methods import methods\n"
        "from pipelines.blends import blends\n"
        "from trainers.lr_schedulers import lr_schedulers\n"
        "from trainers.optimizers import optimizers\n"
        "assert len(methods()) > 40 and len(blends()) > 10 and optimizers() and lr_schedulers()\n"
        "heavy = ('torch', 'peft', 'transformers', 'diffusers', 'bitsandbytes')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
