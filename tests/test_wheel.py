"""What is installed is all that is written: no rule meant for build folders keeps a module out of the wheel."""

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

REPOSITORY = Path(__file__).parents[1]


def test_the_wheel_holds_every_file_of_the_package() -> None:
    source = REPOSITORY / "src"
    written = {
        file.relative_to(source).as_posix()
        for file in (source / "sycolens").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    wheel = WheelBuilder(str(REPOSITORY))
    assert {file.distribution_path for file in wheel.recurse_included_files()} == written
