"""What the report's tables are made of: headings, cells that sort and lead to their rows, lines and sheets."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Head:
    """A column's heading, what hovering over it explains, and whether it holds numbers."""

    text: str
    tip: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """What a reader sees, what sorting compares, and which rows and `metric/part` a number comes from."""

    text: str
    sort: float | str
    mark: str = ""  # best, second, absent, chip ...
    methods: tuple[str, ...] = ()
    key: str = ""
    note: str = ""
    sign: str = ""  # of a sure difference from the table's reference


@dataclass(frozen=True)
class Line:
    """One row of a table; `method` and `group` are empty where the table is not one of methods."""

    cells: list[Cell]
    method: str = ""
    group: str = ""


@dataclass
class Sheet:
    """One table of the page; `problem` says why it has no lines."""

    name: str
    title: str
    heads: list[Head] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problem: str = ""
    folded: bool = False  # shown when asked for

    @property
    def partly(self) -> bool:
        """Whether some mean leaves out values that are undefined."""
        return any(cell.note and cell.methods and cell.mark != "absent" for line in self.lines for cell in line.cells)

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(line.group for line in self.lines if line.group))
