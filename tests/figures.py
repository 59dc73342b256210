"""Draw the figures of the documentation anew, as its own code does: `python -m tests.figures`."""

from tests.test_docs import WITH_PYTHON, drawings_of

INK = "#6e7781"  # is read on light pages and on dark ones

if __name__ == "__main__":
    for page in WITH_PYTHON:
        for name, drawing in drawings_of(page).items():
            file = page.parent / "figures" / f"{name}.svg"
            file.write_text(drawing.replace("currentColor", INK), encoding="utf-8")
            print(file)
