"""Rows of text under each other, as Markdown that reads well as it is."""


def table_text(head, rows):
    """`head` and each row: a list of strings. The first column is text, the others are numbers, on the right."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]

    def line(cells):
        fitted = [cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(cells, widths))]
        return f"| {' | '.join(fitted)} |"

    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def number(value, digits=0):
    """'–' for what was not measured."""
    return "–" if value is None else f"{value:,.{digits}f}"


def rate(value):
    return number(value, 0 if value is None or value >= 100 else 1)


def percent(value):
    return "–" if value is None else f"{100 * value:.0f} %"


def megabytes(value):
    return number(None if value is None else value / 1e6)
