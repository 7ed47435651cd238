// Formulas reach the page as \( ... \) in a line and \[ ... \] on their own (pymdownx.arithmatex, generic).
for (const element of document.querySelectorAll(".arithmatex")) {
  const source = element.textContent.trim();
  katex.render(source.slice(2, -2), element, {
    displayMode: source.startsWith("\\["),
    throwOnError: false,
  });
}
